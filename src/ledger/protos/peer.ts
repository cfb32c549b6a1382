/** Fabric's `protos` messages (fabric-protos `peer/*.proto`): proposals, responses, transactions. */
import { Timestamp } from './common.ts';
import { bool, bytes, bytesList, dict, int, list, message, str, sub, type Of } from '../wire.ts';

export const SignedProposal = message({ proposalBytes: bytes(1), signature: bytes(2) });
export type SignedProposal = Of<typeof SignedProposal>;
export const Proposal = message({ header: bytes(1), payload: bytes(2), extension: bytes(3) });

export const ChaincodeId = message({ path: str(1), name: str(2), version: str(3) });
export const ChaincodeHeaderExtension = message({ chaincodeId: sub(2, ChaincodeId) });
export const ChaincodeInput = message({ args: bytesList(1), decorations: dict(2, bytes(2)), isInit: bool(3) });
/** `ChaincodeSpec.Type` */
export const chaincodeType = { golang: 1, node: 2 } as const;
export const ChaincodeSpec = message({ type: int(1), chaincodeId: sub(2, ChaincodeId), input: sub(3, ChaincodeInput), timeout: int(4) });
export const ChaincodeInvocationSpec = message({ chaincodeSpec: sub(1, ChaincodeSpec) });
/** The transient map reaches the endorsing peers and never a block. */
export const ChaincodeProposalPayload = message({ input: bytes(1), transientMap: dict(2, bytes(2)) });

export const Response = message({ status: int(1), message: str(2), payload: bytes(3) });
export type Response = Of<typeof Response>;
export const ChaincodeAction = message({ results: bytes(1), events: bytes(2), response: sub(3, Response), chaincodeId: sub(4, ChaincodeId) });
export type ChaincodeAction = Of<typeof ChaincodeAction>;
export const ProposalResponsePayload = message({ proposalHash: bytes(1), extension: bytes(2) });
export const Endorsement = message({ endorser: bytes(1), signature: bytes(2) });
export type Endorsement = Of<typeof Endorsement>;
export const ProposalResponse = message({ version: int(1), timestamp: sub(2, Timestamp), response: sub(4, Response), payload: bytes(5), endorsement: sub(6, Endorsement) });

export const ChaincodeEndorsedAction = message({ proposalResponsePayload: bytes(1), endorsements: list(2, Endorsement) });
export const ChaincodeActionPayload = message({ chaincodeProposalPayload: bytes(1), action: sub(2, ChaincodeEndorsedAction) });
export const TransactionAction = message({ header: bytes(1), payload: bytes(2) });
export const Transaction = message({ actions: list(1, TransactionAction) });

export const ChaincodeEventMessage = message({ chaincodeId: str(1), txId: str(2), eventName: str(3), payload: bytes(4) });
export type ChaincodeEventMessage = Of<typeof ChaincodeEventMessage>;
