/** Keys with certificates, and what they sign: ledger proposals, HTTP requests, documents. */
import { fromBase64url, toBase64url, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { SignRequest } from '#api/client.ts';
import { sha256 } from '#crypto/digest.ts';
import { signMailboxRequest, signRequest } from '#crypto/http-signature.ts';
import { exportPrivateKey, generateSigningKey, importPrivateKey, signLowS, spki } from '#crypto/keys.ts';
import { createCsr, readCertificate } from '#crypto/x509.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { createSigner } from '#ledger/signer.ts';
import type { MailboxHandle } from '#model/ids.ts';
import type { Context } from './context.ts';
import type { Identity, Mailbox } from './state.ts';

/** A new key and a request for its certificate. */
export async function newIdentity(commonName: string): Promise<Identity> {
  const keyPair = await generateSigningKey();
  return { privateKey: toBase64url(await exportPrivateKey(keyPair.privateKey)), csr: await createCsr({ commonName, keyPair }) };
}

/** A new mailbox key; the handle is the digest of its public half. */
export async function newMailbox(): Promise<Mailbox> {
  const keyPair = await generateSigningKey();
  const publicKey = await spki(keyPair.publicKey);
  return { privateKey: toBase64url(await exportPrivateKey(keyPair.privateKey)), publicKey: toBase64url(publicKey), handle: toBase64url(sha256(publicKey)) as MailboxHandle, opened: false, readUpTo: 0 };
}

/** The signer of an identity that has its certificate. Throws DEVICE_NOT_ENROLLED when it has none. */
export async function signerOf(identity: Identity | undefined): Promise<LedgerSigner> {
  if (identity?.certificate === undefined) throw new CodedError('DEVICE_NOT_ENROLLED', 'This device has no certificate for that yet.', { next: 'Enrol the device with a code from the user organisation.' });
  const privateKey = await importPrivateKey(fromBase64url(identity.privateKey));
  return createSigner({ mspId: readCertificate(identity.certificate).org, certificate: identity.certificate, privateKey });
}

/** Signs requests by RFC 9421 with a certificate's key. */
export function requestSigner({ clock, random }: Pick<Context, 'clock' | 'random'>, signer: LedgerSigner): SignRequest {
  return (request) => signRequest(request, { certificate: signer.certificate, sign: (message) => signer.sign(message), clock, random });
}

/** Signs requests with a mailbox key, which has no certificate. */
export function mailboxSigner({ clock, random }: Pick<Context, 'clock' | 'random'>, mailbox: Mailbox): SignRequest {
  return async (request) => {
    const privateKey = await importPrivateKey(fromBase64url(mailbox.privateKey));
    return signMailboxRequest(request, { publicKey: fromBase64url(mailbox.publicKey), sign: (message: Uint8Array): Promise<Bytes> => signLowS(privateKey, message), clock, random });
  };
}
