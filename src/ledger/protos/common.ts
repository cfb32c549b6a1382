/** Fabric's `common` and `msp` messages (fabric-protos `common/common.proto`, `msp/identities.proto`). */
import { bytes, bytesList, int, list, message, str, sub, uint, type Of } from '../wire.ts';

/** `google.protobuf.Timestamp` */
export const Timestamp = message({ seconds: uint(1), nanos: int(2) });
export type Timestamp = Of<typeof Timestamp>;

/** `common.HeaderType` */
export const headerType = { message: 0, config: 1, configUpdate: 2, endorserTransaction: 3, deliverSeekInfo: 5 } as const;

export const ChannelHeader = message({
  type: int(1), version: int(2), timestamp: sub(3, Timestamp), channelId: str(4), txId: str(5), epoch: uint(6), extension: bytes(7), tlsCertHash: bytes(8),
});
export type ChannelHeader = Of<typeof ChannelHeader>;

export const SignatureHeader = message({ creator: bytes(1), nonce: bytes(2) });
export type SignatureHeader = Of<typeof SignatureHeader>;

export const Header = message({ channelHeader: bytes(1), signatureHeader: bytes(2) });
export type Header = Of<typeof Header>;

export const Payload = message({ header: sub(1, Header), data: bytes(2) });
export const Envelope = message({ payload: bytes(1), signature: bytes(2) });
export type Envelope = Of<typeof Envelope>;

export const BlockHeader = message({ number: uint(1), previousHash: bytes(2), dataHash: bytes(3) });
export type BlockHeader = Of<typeof BlockHeader>;
export const BlockData = message({ data: bytesList(1) });
/** Slots by index: see `metadataSlot`. */
export const BlockMetadata = message({ metadata: bytesList(1) });
export const Block = message({ header: sub(1, BlockHeader), data: sub(2, BlockData), metadata: sub(3, BlockMetadata) });
export type Block = Of<typeof Block>;

/** `common.BlockMetadataIndex`: LAST_CONFIG and ORDERER are kept for old readers, the rest carry what their names say. */
export const metadataSlot = { signatures: 0, lastConfig: 1, transactionsFilter: 2, orderer: 3, commitHash: 4 } as const;

/** BFT orderers sign with `identifierHeader` instead of a creator: the configuration knows them by number. */
export const IdentifierHeader = message({ identifier: uint(1), nonce: bytes(2) });
export const MetadataSignature = message({ signatureHeader: bytes(1), signature: bytes(2), identifierHeader: bytes(3) });
export const Metadata = message({ value: bytes(1), signatures: list(2, MetadataSignature) });
export const LastConfig = message({ index: uint(1) });
export const OrdererBlockMetadata = message({ lastConfig: sub(1, LastConfig), consenterMetadata: bytes(2) });

/** `msp.SerializedIdentity`; `idBytes` is the certificate in PEM. */
export const SerializedIdentity = message({ mspId: str(1), idBytes: bytes(2) });
export type SerializedIdentity = Of<typeof SerializedIdentity>;
