/** One-time certificates in stock, so that taking one for an index entry or a slot tells the doorman nothing about when or what for. */
import { CodedError } from '#base/errors.ts';
import { readCertificate, type CertificateFacts } from '#crypto/x509.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { validityMonth } from '#model/orgs.ts';
import type { Context } from './context.ts';
import { askCertificates } from './enrolment.ts';
import { randomId, shuffled } from './keys.ts';
import { newIdentity, signerOf } from './signing.ts';
import { spares, type Identity, type Spare } from './state.ts';
import { put, remove, type Change } from './vault.ts';

/** How many are kept ready. */
const STOCK = 16;
const BATCH_MAX = 100;
const DAY_MS = 86_400_000;
/** Certificates of the last month are thrown away so many days into the new one. */
const KEPT_DAYS = 2;

/** Identities taken from stock, and the changes that remove them: to be written together with what they are used for. */
export interface Taken {
  readonly identities: readonly Identity[];
  readonly changes: readonly Change[];
}

/**
 * Takes certificates that are valid at least until `validUntil` (UTC milliseconds), in random order, asking for more when the
 * stock is short. They are of the current month: an older one would tell a channel's readers when its holder last asked.
 * Throws CERTIFICATE_TOO_SHORT.
 */
export async function takeSpares(context: Context, count: number, validUntil: number): Promise<Taken> {
  await fillStock(context, count, validUntil);
  const { current, older } = await usable(context, validUntil);
  // Older ones only while the doorman's clock is still in the month before.
  const ready = [...shuffled(context.random, current), ...shuffled(context.random, older)];
  if (ready.length < count) throw new CodedError('CERTIFICATE_TOO_SHORT', 'Certificates do not last that long.', { next: 'Choose an earlier end.', validUntil });
  const taken = ready.slice(0, count);
  return { identities: taken.map(([, spare]) => spare.identity), changes: taken.map(([id]) => remove(spares, id)) };
}

/** A signer for reading, used by this object and then never again. */
export async function readerSigner(context: Context): Promise<LedgerSigner> {
  const taken = await takeSpares(context, 1, context.clock.now());
  await context.vault.write(...taken.changes);
  return signerOf(taken.identities[0]);
}

/** Completes batches whose answer never came, drops expired certificates, and asks for new ones when fewer than `count` are usable. */
export async function fillStock(context: Context, count: number, validUntil: number): Promise<void> {
  await completeBatches(context);
  for (let missing = count - (await usable(context, validUntil)).current.length; missing > 0; missing -= BATCH_MAX) {
    await orderBatch(context, Math.min(BATCH_MAX, missing + STOCK));
    await completeBatches(context);
  }
}

/** Is the identity's certificate one of this month? */
export function isCurrent({ clock }: Pick<Context, 'clock'>, { certificate }: Identity): boolean {
  return certificate !== undefined && readCertificate(certificate).notBefore >= validityMonth(clock.now());
}

interface Usable {
  readonly current: readonly (readonly [string, Spare])[];
  readonly older: readonly (readonly [string, Spare])[];
}

async function usable(context: Context, validUntil: number): Promise<Usable> {
  const ready = (await context.vault.all(spares)).filter(([, { identity }]) => identity.certificate !== undefined);
  const facts = ({ identity }: Spare): CertificateFacts => readCertificate(identity.certificate as string);
  const now = context.clock.now();
  const past = ready.filter(([, spare]) => facts(spare).notAfter < now + DAY_MS || facts(spare).notBefore < validityMonth(now - KEPT_DAYS * DAY_MS));
  if (past.length > 0) await context.vault.write(...past.map(([id]) => remove(spares, id)));
  const good = ready.filter(([, spare]) => facts(spare).notAfter >= Math.max(validUntil, now + DAY_MS));
  return { current: good.filter(([, { identity }]) => isCurrent(context, identity)), older: good.filter(([, { identity }]) => !isCurrent(context, identity)) };
}

async function orderBatch(context: Context, size: number): Promise<void> {
  const batch = randomId(context.random, 16);
  const made = await Promise.all(
    Array.from({ length: size }, async () => {
      const commonName = randomId(context.random, 16);
      return { batch, commonName, identity: await newIdentity(commonName) };
    }),
  );
  await context.vault.write(...made.map((spare) => put(spares, spare.commonName, spare)));
}

async function completeBatches(context: Context): Promise<void> {
  const open = (await context.vault.all(spares)).map(([, spare]) => spare).filter(({ identity }) => identity.certificate === undefined);
  for (const batch of new Set(open.map((spare) => spare.batch))) {
    const members = open.filter((spare) => spare.batch === batch);
    const identities = await askCertificates(context, 'one-time', members.map(({ identity }) => identity));
    await context.vault.write(...members.map((spare, at) => put(spares, spare.commonName, { ...spare, identity: identities[at] as Identity })));
  }
}
