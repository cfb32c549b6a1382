/**
 * Proofs of anchors against checkpoints on CON, and where an anchor stands. A checkpoint is put on CON after anchors (many
 * at once) and on demand before a release, so that a recipient never waits for one.
 */
import { CodedError, isCoded } from '#base/errors.ts';
import type { Log, Scheduler } from '#base/ports.ts';
import type { LeafProof } from '#api/endpoints.ts';
import type { ContractClient } from '#contracts/client.ts';
import { anchorKey, checkpointKey } from '#contracts/keys.ts';
import { readBlock } from '#ledger/block.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import type { CheckpointState } from '#model/con.ts';
import type { OrgId, RecordId } from '#model/ids.ts';
import { CON, contractOf, hdcOf } from '#model/orgs.ts';
import type { AnchorRef } from '#store/ports.ts';
import type { Cosigners } from '../cosigners.ts';
import type { Witness } from '../witness/witness.ts';

const SEEN_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 20;

export interface ProofsDeps {
  readonly keeper: OrgId;
  /** The keeper's own trees of its channel and of CON. */
  readonly hdc: Witness;
  readonly con: Witness;
  readonly consortium: ContractClient<'con'>;
  readonly cosigners: Cosigners;
  readonly ledger: LedgerClient;
  /** Reads whole blocks: those are for peers. */
  readonly peer: LedgerSigner;
  readonly scheduler: Scheduler;
  readonly log: Log;
}

export interface Proofs {
  /** Puts a checkpoint of the channel as it stands on CON; one at a time. */
  pin(): Promise<void>;
  /** Every record's anchor in one checkpoint that is on CON, in the order asked. Throws RECORD_NOT_ANCHORED. */
  anchors(records: readonly { readonly id: RecordId; readonly blockNumber: number }[]): Promise<readonly LeafProof[]>;
  /** The CON leaf of the checkpoint that an anchor's proof uses, in a checkpoint of CON co-signed by members. */
  pinned(anchor: LeafProof): Promise<LeafProof>;
  /** The transaction that wrote the anchor. */
  locate(record: RecordId): Promise<AnchorRef>;
}

export function createProofs(deps: ProofsDeps): Proofs {
  const { keeper, hdc, con, cosigners } = deps;
  const channel = hdcOf(keeper);
  let pinning: Promise<void> | undefined;
  const putOnCon = async (): Promise<void> => {
    const pinned = await hdc.putOnCon();
    if (pinned !== null) await con.caughtUp(pinned.blockNumber);
  };
  const pin = (): Promise<void> => (pinning ??= putOnCon().finally(() => (pinning = undefined)));

  return {
    pin,
    async anchors(records) {
      await hdc.caughtUp(Math.max(...records.map((record) => record.blockNumber)));
      const namespace = contractOf(channel);
      const checkpoint = await coveringCheckpoint(deps, Math.max(...records.map((record) => record.blockNumber)), pin);
      return Promise.all(records.map(async ({ id }) => ({ ...(await hdc.proofOf({ namespace, key: anchorKey(id), size: checkpoint.size })), checkpoint: checkpoint.note })));
    },
    async pinned(anchor) {
      const key = checkpointKey({ channel, org: keeper, size: anchor.size });
      const proof = await con.proofOf({ namespace: contractOf(CON), key });
      return { ...proof, checkpoint: await cosigners.collect(proof.checkpoint) };
    },
    locate: (record) => locate(deps, record),
  };
}

/** The keeper's newest checkpoint on CON when it covers the block; else a new one. */
async function coveringCheckpoint({ keeper, consortium }: ProofsDeps, block: number, pin: () => Promise<void>): Promise<CheckpointState> {
  // A checkpoint under way may have been taken before the block came; the one after it was not.
  for (let tries = 0; ; tries++) {
    const newest = await consortium.evaluate('getCheckpoint', { channel: hdcOf(keeper), org: keeper }).catch((error: unknown) => {
      if (isCoded(error, 'CHECKPOINT_UNKNOWN')) return undefined;
      throw error;
    });
    // Height counts blocks from 0.
    if (newest !== undefined && newest.height > block) return newest;
    if (tries === 2) throw new CodedError('WITNESS_BEHIND', 'No checkpoint on CON covers the record yet.', { block });
    await pin();
  }
}

async function locate({ keeper, hdc, ledger, peer, scheduler }: ProofsDeps, record: RecordId): Promise<AnchorRef> {
  const channel = hdcOf(keeper);
  const query = { namespace: contractOf(channel), key: anchorKey(record) };
  for (let waited = 0; hdc.lastWrite(query) === undefined && waited < SEEN_WITHIN_MS; waited += LOOK_EVERY_MS) await scheduler.sleep(LOOK_EVERY_MS);
  const leaf = hdc.lastWrite(query);
  if (leaf === undefined) throw new CodedError('RECORD_NOT_ANCHORED', 'The record\'s anchor has not been seen on the channel.', { record });
  const ended = new AbortController();
  try {
    for await (const block of ledger.blocks({ channel, startBlock: leaf.block, signer: peer, signal: ended.signal })) {
      const txId = readBlock(block.bytes).transactions[leaf.tx]?.txId;
      if (txId !== undefined) return { txId, blockNumber: leaf.block };
      break;
    }
  } finally {
    ended.abort();
  }
  throw new CodedError('RECORD_NOT_ANCHORED', 'The block of the record\'s anchor could not be read.', { record });
}
