/** The doorman's revocation list: marked durably, signed anew, served at once, then carried to the ledger channels. */
import { toBase64url, utf8 } from '#base/bytes.ts';
import type { Clock, KeyValueStore, Log } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { readCrl, type CertificateAuthority } from '#crypto/x509.ts';
import { z } from 'zod';
import { codeOf } from '../consortium.ts';
import { commit, kept } from '../kept.ts';

const DAY_MS = 86_400_000;
const ONLY = 'now';

export interface Crl {
  readonly pem: string;
  readonly etag: string;
}

export interface Revocations {
  /** Loads what is revoked and makes the first list. */
  start(): Promise<void>;
  current(): Crl;
  isRevoked(serialHex: string): boolean;
  /** The list served from now on names these; publishing it on the channels is tried, and tried again by `refresh`. */
  revoke(certificates: readonly { readonly serialHex: string; readonly notAfter: number }[]): Promise<void>;
  /** Publishes what is waiting; signs the list anew every day, leaving out what has expired. */
  refresh(): Promise<void>;
}

export interface RevocationsOptions {
  readonly store: KeyValueStore;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly log: Log;
  /** Puts the list on the ledger channels where this organisation is a member. */
  readonly publishCrl: (pem: string) => Promise<void>;
}

const RevokedRow = z.strictObject({ at: z.int(), notAfter: z.int() }).readonly();
const CrlRow = z.strictObject({ pem: z.string(), published: z.boolean() }).readonly();

export function openRevocations(options: RevocationsOptions): Revocations {
  const { store, ca, clock, log } = options;
  const rows = kept(store, 'doorman/revoked/', RevokedRow);
  const lists = kept(store, 'doorman/crl/', CrlRow);
  const revoked = new Map<string, z.infer<typeof RevokedRow>>();
  let current: Crl = { pem: '', etag: '' };
  let published = true;

  const serve = (pem: string): void => {
    current = { pem, etag: `"${toBase64url(sha256(utf8(pem)))}"` };
  };
  const sign = async (rowsNow: ReadonlyMap<string, { readonly at: number }>): Promise<string> => {
    const entries = [...rowsNow].map(([serialHex, { at }]) => ({ serialHex, at }));
    // Never two lists of one moment: readers take the later one.
    const last = current.pem === '' ? 0 : readCrl(current.pem).thisUpdate + 1_000;
    return ca.issueCrl(entries, Math.max(clock.now(), last));
  };
  const publish = async (): Promise<void> => {
    const { pem } = current;
    try {
      await options.publishCrl(pem);
      if (pem !== current.pem) return;
      published = true;
      await commit(store, lists.put(ONLY, { pem, published }));
    } catch (error) {
      log('warn', 'doorman.crl-unpublished', { code: codeOf(error), revoked: revoked.size });
    }
  };

  return {
    async start() {
      for (const [serialHex, row] of await rows.list()) revoked.set(serialHex, row);
      const last = await lists.get(ONLY);
      published = last?.published ?? true;
      serve(last?.pem ?? (await sign(revoked)));
      if (last === undefined) await commit(store, lists.put(ONLY, { pem: current.pem, published }));
    },
    current: () => current,
    isRevoked: (serialHex) => revoked.has(serialHex),
    async revoke(certificates) {
      const now = clock.now();
      const added = certificates.filter(({ serialHex }) => !revoked.has(serialHex));
      if (added.length === 0) return;
      // The day only: entries of one list should not be grouped by the minute in which they came.
      const at = Math.floor(now / DAY_MS) * DAY_MS;
      const fresh = added.map(({ serialHex, notAfter }) => [serialHex, { at, notAfter }] as const);
      const pem = await sign(new Map([...revoked, ...fresh]));
      await commit(store, ...fresh.map(([serialHex, row]) => rows.put(serialHex, row)), lists.put(ONLY, { pem, published: false }));
      for (const [serialHex, row] of fresh) revoked.set(serialHex, row);
      published = false;
      serve(pem);
      log('info', 'doorman.revoked', { count: added.length });
      await publish();
    },
    async refresh() {
      if (!published) await publish();
      const now = clock.now();
      if (now - readCrl(current.pem).thisUpdate < DAY_MS) return;
      const expired = [...revoked].filter(([, { notAfter }]) => notAfter < now - DAY_MS).map(([serialHex]) => serialHex);
      const left = new Map([...revoked].filter(([serialHex]) => !expired.includes(serialHex)));
      const pem = await sign(left);
      await commit(store, ...expired.map((serialHex) => rows.remove(serialHex)), lists.put(ONLY, { pem, published }));
      for (const serialHex of expired) revoked.delete(serialHex);
      serve(pem);
    },
  };
}
