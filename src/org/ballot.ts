/**
 * Voting on CON, for every kind of organisation: propose, vote, see what waits for one's own vote, wait for acceptance.
 * What is voted on is a digest; whoever votes has read the text that it stands for.
 */
import { CodedError } from '#base/errors.ts';
import { fromUtf8 } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import type { Log, Scheduler } from '#base/ports.ts';
import type { ChaincodeEvent, LedgerClient, LedgerSigner } from '#ledger/client.ts';
import { ProposalId, ProposalKind, ProposalState, type conInputs } from '#model/con.ts';
import { ledgerEvents } from '#model/events.ts';
import { Digest, type OrgId } from '#model/ids.ts';
import { CON, contractOf } from '#model/orgs.ts';
import { z } from 'zod';
import { codeOf } from './consortium.ts';

export type Proposal = z.input<typeof conInputs.propose>;
/** What is voted on, wherever the proposal came from. */
export interface Subject {
  readonly kind: ProposalKind;
  readonly digest: string;
}
export interface PendingProposal {
  readonly id: string;
  readonly state: ProposalState;
}

export interface Ballot {
  /** Proposes, again without a second effect. Throws PROPOSAL_EXISTS when the id stands for something else. */
  propose(proposal: Proposal): Promise<ProposalState>;
  vote(vote: z.input<typeof conInputs.vote>): Promise<ProposalState>;
  /** Open proposals in which this organisation may vote and has not. */
  pending(): Promise<readonly PendingProposal[]>;
  isAccepted(subject: Subject): Promise<boolean>;
  /** Resolves once accepted; throws CALL_ABORTED when the signal ends the wait. */
  acceptedWhen(subject: Subject, signal?: AbortSignal): Promise<void>;
  /** Votes yes, from now on, on every proposal of this subject: the operator has read it and approves. */
  approve(subject: Subject): void;
  /** Begins to follow CON, needed for `pending` and `approve`; resolves when what was proposed so far is known. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export interface BallotDeps {
  readonly org: OrgId;
  readonly signer: LedgerSigner;
  readonly ledger: LedgerClient;
  readonly scheduler: Scheduler;
  readonly log: Log;
}

const POLL_MS = 200;
const RETRY_MS = 500;
const PAUSE_MS = 50;
const PAST_MS = 2_000;

export function createBallot({ deps }: { readonly deps: BallotDeps }): Ballot {
  const { ledger, signer, org, scheduler, log } = deps;
  const call = (name: string, input: Json) => ({ channel: CON, contract: contractOf(CON), name, input, signer });
  const stateOf = async (id: string): Promise<ProposalState> => ProposalState.parse(await ledger.evaluate(call('getProposal', { id })));
  const isAccepted = async ({ kind, digest }: Subject): Promise<boolean> => (await ledger.evaluate(call('isAccepted', { kind, digest }))) === true;

  const vote: Ballot['vote'] = async (cast) => {
    try {
      return ProposalState.parse((await ledger.submit(call('vote', cast))).output);
    } catch (error) {
      // The reply to an earlier attempt may have been lost, or the others have decided the same meanwhile.
      const state = await stateOf(cast.id).catch(() => undefined);
      const standing = state?.votes.find((one) => one.org === org)?.choice;
      const decided = state?.state === (cast.choice === 'yes' ? 'accepted' : 'rejected');
      if (state !== undefined && (standing === cast.choice || (standing === undefined && decided))) return state;
      throw error;
    }
  };
  const proposals = followProposals(deps);
  const over = new Set<string>();

  return {
    vote,
    isAccepted,
    start: proposals.start,
    close: proposals.close,
    async propose(proposal) {
      try {
        return ProposalState.parse((await ledger.submit(call('propose', proposal as Json))).output);
      } catch (error) {
        const state = await stateOf(proposal.id).catch(() => undefined);
        if (state !== undefined && state.digest === proposal.digest && state.kind === proposal.kind && state.by === org) return state;
        throw error;
      }
    },
    async pending() {
      const states = await Promise.all(proposals.ids().filter((id) => !over.has(id)).map(async (id) => ({ id, state: await stateOf(id) })));
      for (const { id, state } of states) if (state.state !== 'open') over.add(id);
      return states.filter(({ state }) => state.state === 'open' && state.electorate.includes(org) && !state.votes.some((one) => one.org === org));
    },
    approve(subject) {
      proposals.whenMade(subject, (id) => void vote({ id, choice: 'yes' }).catch((error: unknown) => log('warn', 'ballot.vote-not-cast', { proposal: id, code: codeOf(error) })));
    },
    async acceptedWhen(subject, signal) {
      while (!(await isAccepted(subject))) {
        await scheduler.sleep(POLL_MS, signal);
        if (signal?.aborted) throw new CodedError('CALL_ABORTED', 'The wait for acceptance was ended.');
      }
    },
  };
}

interface FollowedProposals {
  ids(): readonly string[];
  whenMade(subject: Subject, act: (id: string) => void): void;
  start(): Promise<void>;
  close(): Promise<void>;
}

const ProposalMade = z.object({ id: ProposalId, kind: ProposalKind, digest: Digest });
const PROPOSAL_MADE = ledgerEvents.con.propose;

/** The proposals made on CON so far, from its events. */
function followProposals({ ledger, signer, scheduler, log }: BallotDeps): FollowedProposals {
  const made = new Map<string, Subject>();
  const approved = new Map<string, (id: string) => void>();
  const stop = new AbortController();
  let next = 0;
  let seen = 0;
  let running: Promise<void> | undefined;
  const nameOf = ({ kind, digest }: Subject): string => `${kind} ${digest}`;

  const take = (event: ChaincodeEvent): void => {
    seen++;
    next = event.blockNumber;
    if (event.name !== PROPOSAL_MADE) return;
    const { id, ...subject } = ProposalMade.parse(JSON.parse(fromUtf8(event.payload)));
    const fresh = !made.has(id);
    made.set(id, subject);
    if (fresh) approved.get(nameOf(subject))?.(id);
  };
  const follow = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        for await (const event of ledger.events({ channel: CON, contract: contractOf(CON), startBlock: next, signer, signal: stop.signal })) take(event);
      } catch (error) {
        if (!stop.signal.aborted) log('warn', 'ballot.interrupted', { code: codeOf(error), next });
      }
      await scheduler.sleep(RETRY_MS, stop.signal);
    }
  };
  /** A stream does not say where the past ends; a pause after its first event does. */
  const past = async (): Promise<void> => {
    for (let waited = 0, before = -1; waited < PAST_MS && !stop.signal.aborted && (seen === 0 || seen !== before); waited += PAUSE_MS) {
      before = seen;
      await scheduler.sleep(PAUSE_MS, stop.signal);
    }
  };
  return {
    ids: () => [...made.keys()],
    whenMade(subject, act) {
      approved.set(nameOf(subject), act);
      for (const [id, known] of made) if (nameOf(known) === nameOf(subject)) act(id);
    },
    async start() {
      running ??= follow();
      await past();
    },
    async close() {
      stop.abort();
      await running;
    },
  };
}
