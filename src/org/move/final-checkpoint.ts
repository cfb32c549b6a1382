/** The last checkpoint of a channel that moves on: the tree over everything that was ever written, signed by all who held it. */
import { readBlock } from '#ledger/block.ts';
import { writeCheckpoint, signNote, type Checkpoint } from '#crypto/checkpoint.ts';
import { appendLeaf, encodeLeaf, leafHash, memoryNodes, rootAt } from '#crypto/merkle.ts';
import type { Bytes } from '#base/bytes.ts';
import { originOf } from '../witness/witness.ts';
import type { ArchiveEnd, Voice } from './move-channel.ts';

/** The checkpoint that blocks amount to, as a witness that saw them all would write it. */
export function checkpointOf(channel: string, blocks: Iterable<Uint8Array>, end: ArchiveEnd): Checkpoint {
  const nodes = memoryNodes();
  let size = 0;
  for (const bytes of blocks) {
    const block = readBlock(bytes);
    block.transactions.forEach((transaction, tx) => {
      if (transaction.code !== 'VALID') return;
      for (const { namespace, key, value } of transaction.writes) size = appendLeaf(nodes, size, leafHash(encodeLeaf({ block: block.number, tx, namespace, key, value: value as Bytes | null })));
    });
  }
  return { origin: originOf(channel), size, root: rootAt(nodes, size), height: end.height, blockHash: end.blockHash as Bytes };
}

/** Signed by every voice's peer. */
export async function signedByAll(checkpoint: Checkpoint, voices: readonly Voice[]): Promise<string> {
  let note = writeCheckpoint(checkpoint);
  for (const { org, peer } of voices) note = await signNote(note, { name: org, certificate: peer.certificate, sign: (message) => peer.sign(message) });
  return note;
}
