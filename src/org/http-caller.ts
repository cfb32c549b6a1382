/**
 * Who sent a signed request (docs/protocol.md section 5): signature and digest, a certificate that chains to a member's
 * root, its validity and revocation, the time of signing, and a nonce not seen before.
 */
import type { AnyCaller, HttpCaller } from '#api/caller.ts';
import type { Authenticate } from '#api/router.ts';
import { toBase64url, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { CREATED_TOLERANCE_SECONDS, verifyMailboxRequest, verifyRequest } from '#crypto/http-signature.ts';
import { readCertificate, verifyChain, type CertificateFacts } from '#crypto/x509.ts';
import { CallerId, Digest, MailboxHandle, OrgId } from '#model/ids.ts';
import { orgClass, Role } from '#model/orgs.ts';
import type { Consortium } from './consortium.ts';

const CREATED_TOLERANCE_MS = CREATED_TOLERANCE_SECONDS * 1_000;

/** Remembers nonces until their requests would be stale anyway. Several instances behind one address share one. */
export interface NonceStore {
  /** True the first time within twice the tolerance. */
  fresh(key: string): Promise<boolean>;
}

/** In memory; see `startedAt` below for what a restart forgets. Old entries leave in order of arrival. */
export function createMemoryNonces(clock: Clock): NonceStore {
  const seen = new Map<string, number>();
  return {
    async fresh(key) {
      const now = clock.now();
      for (const [old, end] of seen) {
        if (end > now) break;
        seen.delete(old);
      }
      if (seen.has(key)) return false;
      seen.set(key, now + 2 * CREATED_TOLERANCE_MS);
      return true;
    },
  };
}

export interface AuthenticatorOptions {
  /** Base URL under which the organisation is known. Signatures must name it: one made for another organisation is worth nothing here. */
  readonly url: string;
  readonly consortium: Consortium;
  readonly clock: Clock;
  readonly nonces?: NonceStore;
  /** The organisation's own root: it knows its own people without asking the consortium. */
  readonly ownRoot: string;
}

export type { HttpCaller, MailboxCaller } from '#api/caller.ts';

/** The `authenticate` of a router. Throws CALLER_UNTRUSTED, CERTIFICATE_NOT_VALID, CERTIFICATE_REVOKED, REVOCATION_UNKNOWN, REQUEST_UNSIGNED, REQUEST_SIGNATURE_INVALID, REQUEST_STALE, REQUEST_REPLAYED. */
export function createAuthenticator(options: AuthenticatorOptions): Authenticate {
  const { clock } = options;
  const nonces = options.nonces ?? createMemoryNonces(clock);
  // A restart forgets the nonces; whatever was signed before it is refused, so that nothing can be replayed across it.
  const startedAt = options.nonces === undefined ? Math.floor(clock.now() / 1_000) * 1_000 : 0;
  const base = options.url.replace(/\/+$/, '');

  return async (request, body, endpoint) => {
    const target = new URL(request.url);
    const seen = new Request(`${base}${target.pathname}${target.search}`, { method: request.method, headers: request.headers });
    const { caller, nonce, created } = endpoint.by.includes('mailbox-key') ? await mailboxCaller(seen, body, clock) : await memberCaller(options, seen, body);
    if (created * 1_000 < startedAt) throw new CodedError('REQUEST_STALE', 'The request was signed before this organisation started.', { next: 'Check the clock and sign the request again.' });
    const key = `${'mailbox' in caller ? caller.mailbox : caller.id} ${nonce}`;
    if (!(await nonces.fresh(key))) throw new CodedError('REQUEST_REPLAYED', 'This signed request was seen before.');
    return caller;
  };
}

interface Sender {
  readonly caller: AnyCaller;
  readonly nonce: string;
  /** UTC seconds. */
  readonly created: number;
}

async function mailboxCaller(request: Request, body: Bytes, clock: Clock): Promise<Sender> {
  const { handle, nonce, created } = await verifyMailboxRequest(request, body, { clock });
  return { caller: { mailbox: MailboxHandle.parse(handle) }, nonce, created };
}

async function memberCaller(options: AuthenticatorOptions, request: Request, body: Bytes): Promise<Sender> {
  const { certificate, nonce, created } = await verifyRequest(request, body, { clock: options.clock });
  return { caller: await callerOf(options, certificate), nonce, created };
}

/** The caller behind a certificate, after everything that can be wrong with it was looked at. */
async function callerOf(options: AuthenticatorOptions, certificate: string): Promise<HttpCaller> {
  const untrusted = (): CodedError => new CodedError('CALLER_UNTRUSTED', 'The certificate was not issued by a member of the consortium.');
  const facts = readCertificate(certificate);
  const org = OrgId.safeParse(facts.org).data;
  if (org === undefined) throw untrusted();
  const root = org === options.consortium.org ? options.ownRoot : (await options.consortium.findMember(org))?.rootCertificate;
  if (root === undefined || !(await verifyChain(certificate, root, undefined))) throw untrusted();
  const now = options.clock.now();
  if (!(await verifyChain(certificate, root, now))) throw new CodedError('CERTIFICATE_NOT_VALID', 'The certificate has expired or is not valid yet.');
  const role = roleOf(facts);
  if (await options.consortium.isRevoked(org, facts.serialHex)) throw new CodedError('CERTIFICATE_REVOKED', 'The certificate was revoked.');
  return { org, class: orgClass(org), role, name: facts.commonName, id: CallerId.parse(toBase64url(facts.fingerprint)), key: Digest.parse(toBase64url(sha256(facts.spki))), certificate };
}

/** The role is believed inside its own organisation only; `person` exists in user organisations only. */
function roleOf(facts: CertificateFacts): Role {
  const role = Role.safeParse(facts.attributes['hk.role']).data;
  const unit = role === 'operator' ? 'admin' : 'client';
  if (role === undefined || facts.organizationalUnit !== unit || (role === 'person' && !facts.org.startsWith('UO-'))) {
    throw new CodedError('CALLER_REFUSED', 'The certificate names no role that may call.');
  }
  return role;
}
