/** Puts transactions into a block, as Fabric's orderer does: header, data, and the orderer's signature in the metadata. */
import { concat } from '#base/bytes.ts';
import type { Random } from '#base/ports.ts';
import { dataHash, headerDer, headerHash } from '../block.ts';
import { Block, LastConfig, Metadata, OrdererBlockMetadata, SignatureHeader, type BlockHeader } from '../protos/common.ts';
import { nativeHash } from './hash.ts';
import type { Peer } from './peer.ts';

export interface OrderedBlock {
  readonly header: BlockHeader;
  readonly hash: Uint8Array;
  readonly data: readonly Uint8Array[];
  /** Slots SIGNATURES and LAST_CONFIG; the committer adds its own. */
  readonly metadata: readonly [Uint8Array, Uint8Array];
}

export interface BlockPlace {
  readonly number: number;
  readonly previousHash: Uint8Array;
  /** Number of the block with the configuration in force. */
  readonly lastConfig: number;
}

const NOTHING = new Uint8Array(0);

/** Orders `data` into the next block. The signature covers `value ‖ signature header ‖ block header`. */
export function orderBlock(place: BlockPlace, data: readonly Uint8Array[], { orderer, random }: { readonly orderer: Peer; readonly random: Random }): OrderedBlock {
  const header: BlockHeader = { number: place.number, previousHash: place.previousHash, dataHash: dataHash(data, nativeHash) };
  const value = OrdererBlockMetadata.encode({ lastConfig: { index: place.lastConfig } });
  const signatureHeader = SignatureHeader.encode({ creator: orderer.serialised, nonce: random.bytes(24) });
  const signature = orderer.signNow(concat(value, signatureHeader, headerDer(header)));
  const signatures = Metadata.encode({ value, signatures: [{ signatureHeader, signature }] });
  return { header, hash: headerHash(header, nativeHash), data, metadata: [signatures, Metadata.encode({ value: LastConfig.encode({ index: place.lastConfig }) })] };
}

/** Block 0 carries no orderer signature, as in Fabric: it is trusted because one was given it. */
export function genesisBlock(envelope: Uint8Array): OrderedBlock {
  const header: BlockHeader = { number: 0, previousHash: NOTHING, dataHash: dataHash([envelope], nativeHash) };
  return { header, hash: headerHash(header, nativeHash), data: [envelope], metadata: [NOTHING, Metadata.encode({ value: LastConfig.encode({ index: 0 }) })] };
}

/** The block's bytes with the committer's verdicts and commit hash. */
export function sealBlock(block: OrderedBlock, codes: readonly number[], commitHash: Uint8Array): Uint8Array {
  const [signatures, lastConfig] = block.metadata;
  const metadata = [signatures, lastConfig, new Uint8Array(codes), NOTHING, Metadata.encode({ value: commitHash })];
  return Block.encode({ header: block.header, data: { data: block.data }, metadata: { metadata } });
}
