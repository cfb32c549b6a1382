/** Collects other members' signatures on a checkpoint, so that a reader need not believe one member alone. */
import { createApiClient } from '#api/client.ts';
import { commonEndpoints } from '#api/endpoints.ts';
import { CodedError } from '#base/errors.ts';
import { keepSignatures, mergeNotes, parseCheckpoint, verifyNoteSignature } from '#crypto/checkpoint.ts';
import type { Member } from '#model/con.ts';
import type { ChannelName, OrgId } from '#model/ids.ts';
import { channelOrgs } from '#model/orgs.ts';
import { codeOf, type Consortium } from './consortium.ts';
import { within } from './patience.ts';
import { signerOf } from './signing.ts';
import type { OrgDeps } from './types.ts';

const ANSWER_MS = 5_000;
const SIGNATURES_WANTED = 2;

export interface Cosigners {
  /**
   * The note with signatures of at least two organisations that run a peer on the channel (all, if fewer than two), the
   * own one included. Throws CHECKPOINT_FORKED when a member disagrees, WITNESS_BEHIND when too few answered.
   */
  collect(note: string): Promise<string>;
}

export function createCosigners(options: { readonly deps: Pick<OrgDeps, 'identity' | 'fetch' | 'clock' | 'random' | 'scheduler' | 'log'>; readonly consortium: Consortium }): Cosigners {
  const { deps, consortium } = options;
  return {
    async collect(note) {
      const channel = parseCheckpoint(note).origin.replace(/^healthkeep\//, '') as ChannelName;
      const members = consortium.members();
      const { peers } = channelOrgs(channel, members.map((member) => member.org));
      const others = members.filter((member) => peers.includes(member.org) && member.org !== deps.identity.org);
      const answers = await Promise.allSettled(others.map((member) => ask(deps, member, note)));
      answers.forEach((answer, at) => noteRefusal(deps, others[at]?.org, answer));
      const notes = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
      const signatures = 1 + notes.length;
      if (signatures < Math.min(SIGNATURES_WANTED, peers.length)) throw new CodedError('WITNESS_BEHIND', 'Too few members have co-signed the checkpoint yet.', { channel, signatures });
      return mergeNotes(note, ...notes);
    },
  };
}

async function ask(deps: Pick<OrgDeps, 'identity' | 'fetch' | 'clock' | 'random' | 'scheduler'>, member: Member, note: string): Promise<string> {
  const client = createApiClient({ table: commonEndpoints, baseUrl: member.url, fetch: deps.fetch, sign: signerOf(deps, deps.identity.system) });
  const answer = await within(deps.scheduler, ANSWER_MS, (signal) => client.cosign({ body: { note }, signal }));
  // Only the signature of the member that was asked counts, and only when it is good.
  if (!(await verifyNoteSignature(answer.note, { name: member.org, rootCertificate: member.rootCertificate, at: deps.clock.now() }))) {
    throw new CodedError('CHECKPOINT_INVALID', 'The co-signature is not good.', { org: member.org });
  }
  return keepSignatures(answer.note, [member.org]);
}

/** A fork is the one thing that must not be outvoted: two members saw different ledgers. */
function noteRefusal(deps: Pick<OrgDeps, 'log'>, org: OrgId | undefined, answer: PromiseSettledResult<string>): void {
  if (answer.status === 'fulfilled') return;
  deps.log('warn', 'cosigners.refused', { org, code: codeOf(answer.reason) });
  if (answer.reason instanceof CodedError && answer.reason.code === 'CHECKPOINT_FORKED') throw answer.reason;
}
