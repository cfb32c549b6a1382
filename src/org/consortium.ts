/**
 * What an organisation knows of the others: the members as CON has them, and which certificates are revoked. Members are
 * read in the background; revocation lists of user organisations, whose people hold most certificates, are read when
 * a caller shows one and the last reading is older than a second, so that a revocation is seen within two.
 */
import { errorOfResponse } from '#api/problem.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock, Fetch, Log, Scheduler } from '#base/ports.ts';
import { readCrl, verifyCrl } from '#crypto/x509.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import { Member } from '#model/con.ts';
import type { OrgId } from '#model/ids.ts';
import { CON, contractOf, orgClass } from '#model/orgs.ts';
import { z } from 'zod';
import { within } from './patience.ts';

const MEMBERS_EVERY_MS = 5_000;
const CRL_FRESH_MS = 1_000;
const CRL_ANSWER_MS = 900;
/** A user organisation that cannot be reached for longer than this stops its people's access: better late than wrong. */
const CRL_GRACE_MS = 60_000;
const CRL_BYTES_MAX = 20_000_000;

export interface Consortium {
  readonly org: OrgId;
  members(): readonly Member[];
  member(org: OrgId): Member | undefined;
  /** The member, read anew from CON when it is not known yet. */
  findMember(org: OrgId): Promise<Member | undefined>;
  /** Throws REVOCATION_UNKNOWN when no list younger than a minute can be had. */
  isRevoked(org: OrgId, serialHex: string): Promise<boolean>;
  /** Takes a list that came another way (the channel's configuration, the own doorman). An older or foreign one changes nothing. */
  learnCrl(org: OrgId, pem: string): Promise<void>;
  /** Reads the members now. */
  refresh(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

export interface ConsortiumOptions {
  readonly org: OrgId;
  readonly signer: LedgerSigner;
  readonly ledger: LedgerClient;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** The organisation's own revocations, when it keeps a doorman: no network lies between. */
  readonly own?: { isRevoked(serialHex: string): boolean };
}

interface KnownCrl {
  readonly thisUpdate: number;
  readonly revoked: ReadonlyMap<string, number>;
  readonly readAt: number;
  readonly etag: string | null;
}

export function createConsortium(options: ConsortiumOptions): Consortium {
  const { org, clock, scheduler, log } = options;
  const stopped = new AbortController();
  const crls = createCrls(options, (of) => members.get(of));
  let members: ReadonlyMap<OrgId, Member> = new Map();
  let reading: Promise<void> | undefined;
  let following: Promise<void> = Promise.resolve();

  const read = async (): Promise<void> => {
    const list = await readMembers(options);
    members = new Map(list.map((member) => [member.org, member]));
  };
  const refresh = (): Promise<void> => (reading ??= read().finally(() => (reading = undefined)));
  const follow = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await refresh().catch((error: unknown) => log('warn', 'consortium.unread', { code: codeOf(error), at: clock.now() }));
      await scheduler.sleep(MEMBERS_EVERY_MS, stopped.signal);
    }
  };

  return {
    org,
    members: () => [...members.values()],
    member: (of) => members.get(of),
    async findMember(of) {
      if (!members.has(of)) await refresh();
      return members.get(of);
    },
    isRevoked: crls.isRevoked,
    learnCrl: crls.learn,
    refresh,
    async start() {
      await refresh().catch((error: unknown) => log('warn', 'consortium.unread', { code: codeOf(error) }));
      following = follow();
    },
    async close() {
      stopped.abort();
      await following;
    },
  };
}

async function readMembers(options: ConsortiumOptions): Promise<readonly Member[]> {
  const output = await options.ledger.evaluate({ channel: CON, contract: contractOf(CON), name: 'getMembers', input: {}, signer: options.signer });
  return z.object({ members: z.array(Member) }).parse(output).members;
}

function createCrls(options: ConsortiumOptions, member: (org: OrgId) => Member | undefined): Pick<Consortium, 'isRevoked'> & { learn(org: OrgId, pem: string): Promise<void> } {
  const { clock, log } = options;
  const known = new Map<OrgId, KnownCrl>();
  const reading = new Map<OrgId, Promise<void>>();

  const accept = async (org: OrgId, pem: string, etag: string | null): Promise<void> => {
    const root = member(org)?.rootCertificate;
    if (root === undefined || !(await verifyCrl(pem, root))) throw new CodedError('CRL_INVALID', 'The revocation list was not signed by its organisation.', { org });
    const { thisUpdate, revoked } = readCrl(pem);
    const last = known.get(org);
    // A list older than the one we hold would bring revoked certificates back.
    if (last !== undefined && thisUpdate < last.thisUpdate) throw new CodedError('CRL_INVALID', 'The revocation list is older than the one already known.', { org });
    known.set(org, { thisUpdate, revoked, readAt: clock.now(), etag });
  };
  const read = async (org: OrgId): Promise<void> => {
    const last = known.get(org);
    const asked = clock.now();
    const answer = await fetchCrl(options, member(org), last?.etag ?? null);
    if (answer === 'unchanged' && last !== undefined) known.set(org, { ...last, readAt: asked });
    else if (answer !== 'unchanged') await accept(org, answer.pem, answer.etag);
  };
  const readOnce = (org: OrgId): Promise<void> => {
    const running = reading.get(org) ?? read(org).finally(() => reading.delete(org));
    reading.set(org, running);
    return running;
  };
  const age = (org: OrgId): number => {
    const last = known.get(org);
    // A clock that was set back makes every reading old.
    return last === undefined || clock.now() < last.readAt ? Infinity : clock.now() - last.readAt;
  };

  return {
    learn: (org, pem) => accept(org, pem, null),
    async isRevoked(org, serialHex) {
      if (orgClass(org) !== 'uo') return false;
      if (org === options.org && options.own !== undefined) return options.own.isRevoked(serialHex);
      if (age(org) >= CRL_FRESH_MS) await readOnce(org).catch((error: unknown) => log('warn', 'consortium.crl-unread', { org, code: codeOf(error) }));
      if (age(org) >= CRL_GRACE_MS) throw new CodedError('REVOCATION_UNKNOWN', 'It could not be learned in time whether the certificate was revoked.', { org });
      return known.get(org)?.revoked.has(serialHex) ?? false;
    },
  };
}

async function fetchCrl(options: ConsortiumOptions, member: Member | undefined, etag: string | null): Promise<'unchanged' | { readonly pem: string; readonly etag: string | null }> {
  if (member === undefined) throw new CodedError('CALLER_UNTRUSTED', 'The organisation is not a member of the consortium.');
  return within(options.scheduler, CRL_ANSWER_MS, async (signal) => {
    const response = await options.fetch(new Request(`${member.url.replace(/\/+$/, '')}/v1/doorman/crl`, { signal, headers: etag === null ? {} : { 'if-none-match': etag } }));
    if (response.status === 304) return 'unchanged';
    if (!response.ok) throw await errorOfResponse(response);
    const pem = await response.text();
    if (pem.length > CRL_BYTES_MAX) throw new CodedError('CRL_INVALID', 'The revocation list is larger than any can be.');
    return { pem, etag: response.headers.get('etag') };
  });
}

/** The code of a thrown value, for the log. */
export function codeOf(error: unknown): string {
  return error instanceof CodedError ? error.code : error instanceof Error ? error.name : typeof error;
}
