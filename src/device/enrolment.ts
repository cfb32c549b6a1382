/** A1: from a one-time code to a certificate; the key never leaves the device. */
import { CodedError } from '#base/errors.ts';
import { equalBytes } from '#base/bytes.ts';
import { readCsr, readCertificate, verifyChain } from '#crypto/x509.ts';
import type { Context } from './context.ts';
import { randomId } from './keys.ts';
import { refreshMap, userOrg } from './organisations.ts';
import { passing } from './persistence.ts';
import { newIdentity, signerOf } from './signing.ts';
import { enrolments, ONLY, type Enrolment, type Identity } from './state.ts';
import { put } from './vault.ts';
import type { LedgerSigner } from '#ledger/client.ts';

/** Exchanges the code for an enrolment certificate. Repeating it after a stop is harmless. Throws the doorman's codes, DEVICE_ENROLLED on a second enrolment. */
export async function enrol(context: Context, code: string): Promise<void> {
  const known = await context.vault.get(enrolments, ONLY);
  if (known?.identity.certificate !== undefined) throw new CodedError('DEVICE_ENROLLED', 'This device is enrolled already.', { next: 'Use another folder for another person.' });
  const wanted: Enrolment = { identity: known?.identity ?? (await newIdentity(randomId(context.random, 16))), code };
  await context.vault.write(put(enrolments, ONLY, wanted));
  await finishEnrolment(context);
}

/** Sends the kept code again when the doorman's answer never arrived. */
export async function finishEnrolment(context: Context): Promise<void> {
  const wanted = await context.vault.get(enrolments, ONLY);
  if (wanted?.code === undefined) return;
  try {
    const { certificate, root } = await userOrg(context).enrol({ body: { code: wanted.code, csr: wanted.identity.csr } });
    await checkIssued({ identity: wanted.identity, certificate, root, now: context.clock.now() });
    await context.vault.write(put(enrolments, ONLY, { identity: { ...wanted.identity, certificate }, root }));
  } catch (error) {
    // A refused code is forgotten, so that it is not sent again with every synchronisation; the key stays.
    if (!passing(error)) await context.vault.write(put(enrolments, ONLY, { identity: wanted.identity }));
    throw error;
  }
  await refreshMap(context);
}

/** The enrolment certificate's signer: for the doorman only. Throws DEVICE_NOT_ENROLLED. */
export async function enrolmentSigner(context: Context): Promise<LedgerSigner> {
  return signerOf((await context.vault.get(enrolments, ONLY))?.identity);
}

/** A certificate is taken only when it is for our key and name, by the user organisation. Throws CERTIFICATE_REFUSED. */
export async function checkIssued({ identity, certificate, root, now }: { readonly identity: Identity; readonly certificate: string; readonly root: string; readonly now: number }): Promise<void> {
  const asked = await readCsr(identity.csr);
  const facts = readCertificate(certificate);
  const right = facts.commonName === asked.commonName && equalBytes(facts.spki, asked.publicKeySpki) && (await verifyChain(certificate, root, now));
  if (!right) throw new CodedError('CERTIFICATE_REFUSED', 'The doorman sent a certificate that is not the one asked for.', { next: 'Ask the user organisation; the certificate is not used.' });
}

/** Certificates for keys made on this device, checked. Asking again for the same requests gives the same. */
export async function askCertificates(context: Context, use: 'pairwise' | 'one-time', identities: readonly Identity[]): Promise<readonly Identity[]> {
  const enrolment = await context.vault.get(enrolments, ONLY);
  const signer = await signerOf(enrolment?.identity);
  const { certificates } = await userOrg(context, signer).certificates({ body: { use, csrs: identities.map(({ csr }) => csr) } });
  if (certificates.length !== identities.length) throw new CodedError('CERTIFICATE_REFUSED', 'The doorman sent another number of certificates.', { next: 'Ask the user organisation.' });
  const root = enrolment?.root as string;
  const now = context.clock.now();
  return Promise.all(
    identities.map(async (identity, at) => {
      const certificate = certificates[at] as string;
      await checkIssued({ identity, certificate, root, now });
      return { ...identity, certificate };
    }),
  );
}
