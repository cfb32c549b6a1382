/**
 * Linking a local patient to its owner (A2): the desk scans the signed code, the keeper checks it, notes the owner, puts
 * it on the channel, and only then seals deliveries to it. A crash between the steps is continued at the next start.
 */
import { fromBase64url, toBase64url, type Bytes } from '#base/bytes.ts';
import { canonicalBytes } from '#base/canonical-json.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Clock, Log, Random } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { verifySigned } from '#crypto/signed-json.ts';
import { milliseconds, type Digest, type OrgId, type PairwiseId, type SubjectId } from '#model/ids.ts';
import { LinkRequest, type Signed } from '#model/messages.ts';
import type { RecordStore, StoredOwner, StoredSubject } from '#store/ports.ts';
import type { Turnstile } from '../turnstile.ts';
import type { HdcChannel } from './channel.ts';
import type { People, Person } from './people.ts';
import type { Tags } from './tags.ts';

/** More than any desk links between two starts. */
const UNCONFIRMED_MAX = 10_000;

export interface LinkingDeps {
  readonly keeper: OrgId;
  readonly records: Pick<RecordStore, 'subjectFor' | 'putOwner' | 'unconfirmedSubjects' | 'subject'>;
  readonly hdc: HdcChannel;
  readonly people: People;
  readonly tags: Tags;
  readonly clock: Clock;
  readonly random: Random;
  /** One patient's bundles and links come one after another. */
  readonly patients: Turnstile;
  readonly log: Log;
  /** Called when a subject has a confirmed owner. */
  readonly onLinked: () => void;
}

export interface Linking {
  /** Throws SIGNATURE_INVALID, LINK_OTHER_KEEPER, LINK_EXPIRED, LINK_TAKEN, CERTIFICATE_REVOKED. */
  link(patient: string, link: Signed): Promise<SubjectId>;
  /** Confirms owners that a crash left unconfirmed. */
  resume(): Promise<void>;
}

export function createLinking(deps: LinkingDeps): Linking {
  return {
    link: (patient, link) =>
      deps.patients.run(patient, async () => {
        const { request, person } = await checkedRequest(deps, link);
        const subject = await deps.records.subjectFor(deps.tags.patient(patient), toBase64url(deps.random.bytes(16)));
        if (subject.owner?.confirmed === true && subject.owner.pairwiseId !== request.pairwiseId) throw new CodedError('LINK_TAKEN', 'This patient is linked to another owner already.');
        if (subject.owner?.confirmed !== true || newerLink(subject.owner, request, person)) await confirm(deps, subject, ownerOf({ request, person, link }));
        return subject.id as SubjectId;
      }),
    async resume() {
      for (const subject of await deps.records.unconfirmedSubjects(UNCONFIRMED_MAX)) {
        if (subject.owner === undefined) continue;
        await confirm(deps, subject, subject.owner).catch((error: unknown) => {
          // What the channel refuses for good must not keep the others waiting; `confirm` has taken it back.
          if (!isCoded(error, 'SUBJECT_LINKED')) throw error;
          deps.log('error', 'link.refused', { subject: subject.id, code: error.code });
        });
      }
    },
  };
}

async function checkedRequest({ keeper, people, clock }: LinkingDeps, link: Signed): Promise<{ readonly request: LinkRequest; readonly person: Person }> {
  const { value, certificate } = await verifySigned(link);
  const parsed = LinkRequest.safeParse(value);
  if (!parsed.success) throw new CodedError('SIGNATURE_INVALID', 'What was signed is not a link request.');
  const request = parsed.data;
  if (request.keeper !== keeper) throw new CodedError('LINK_OTHER_KEEPER', 'The code was made for another keeper.');
  if (milliseconds(request.expiresAt) <= clock.now()) throw new CodedError('LINK_EXPIRED', 'The code has expired.');
  // The pseudonym must be the one the user organisation certified, and the signer its holder.
  const person = await people.person(certificate);
  if (request.certificate !== certificate || person.name !== request.pairwiseId) throw new CodedError('SIGNATURE_INVALID', 'The link request was not signed by the pseudonym it names.');
  return { request, person };
}

/** The owner's device may be new: the latest code says which key acts for the owner, where notices go and under which key. */
function newerLink(owner: StoredOwner, request: LinkRequest, person: Person): boolean {
  return toBase64url(owner.key) !== person.key || owner.mailbox !== request.mailbox || toBase64url(owner.hpkePublicKey) !== request.hpkePublicKey;
}

function ownerOf({ request, person, link }: { readonly request: LinkRequest; readonly person: Person; readonly link: Signed }): StoredOwner {
  return {
    pairwiseId: request.pairwiseId,
    key: fromBase64url(person.key),
    hpkePublicKey: fromBase64url(request.hpkePublicKey),
    mailbox: request.mailbox,
    org: person.org,
    linkDigest: linkDigest(link),
    confirmed: false,
  };
}

/** SHA-256 of the signed link request. */
export function linkDigest(link: Signed): Bytes {
  return sha256(canonicalBytes({ ...link }));
}

/** Noted first, on the channel second, confirmed last: whatever was interrupted is seen and done again. Throws SUBJECT_LINKED when the channel knows another owner. */
async function confirm({ records, hdc, onLinked }: LinkingDeps, subject: StoredSubject, owner: StoredOwner): Promise<void> {
  const interrupted = subject.owner !== undefined && (await isBound(hdc, subject, owner));
  await records.putOwner(subject.id, { ...owner, confirmed: false });
  try {
    if (!interrupted) await hdc.submit('linkOwner', { subject: subject.id as SubjectId, owner: owner.pairwiseId as PairwiseId, key: toBase64url(owner.key) as Digest, linkDigest: toBase64url(owner.linkDigest) as Digest });
  } catch (error) {
    if (isCoded(error, 'SUBJECT_LINKED')) await records.putOwner(subject.id, undefined);
    throw error;
  }
  await records.putOwner(subject.id, { ...owner, confirmed: true });
  onLinked();
}

/** Does the channel say so already? Then the crash came after it, and saying it again would be one transaction too many. */
async function isBound(hdc: HdcChannel, subject: StoredSubject, owner: StoredOwner): Promise<boolean> {
  try {
    const bound = await hdc.evaluate('getOwner', { subject: subject.id as SubjectId });
    return bound.owner === owner.pairwiseId && bound.key === toBase64url(owner.key);
  } catch (error) {
    if (isCoded(error, 'SUBJECT_NOT_LINKED')) return false;
    throw error;
  }
}
