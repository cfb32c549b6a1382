/** What the orderers of a Fabric network agree on (fabric-protos `orderer/configuration.proto`, `etcdraft/`, `smartbft/`, `common/configuration.proto`). */
import { bool, bytes, int, list, message, str, sub, uint } from '../wire.ts';

export const RaftConsenter = message({ host: str(1), port: uint(2), clientTlsCert: bytes(3), serverTlsCert: bytes(4) });
export const RaftOptions = message({ tickInterval: str(1), electionTick: uint(2), heartbeatTick: uint(3), maxInflightBlocks: uint(4), snapshotIntervalSize: uint(5) });
/** `etcdraft.ConfigMetadata`: the metadata of consensus type `etcdraft`. */
export const RaftMetadata = message({ consenters: list(1, RaftConsenter), options: sub(2, RaftOptions) });

/** `smartbft.Options`: the metadata of consensus type `BFT`. `leaderRotation` 1 is off. */
export const SmartBftOptions = message({
  requestBatchMaxCount: uint(1), requestBatchMaxBytes: uint(2), requestBatchMaxInterval: str(3), incomingMessageBufferSize: uint(4), requestPoolSize: uint(5), requestForwardTimeout: str(6), requestComplainTimeout: str(7),
  requestAutoRemoveTimeout: str(8), requestMaxBytes: uint(9), viewChangeResendInterval: str(10), viewChangeTimeout: str(11), leaderHeartbeatTimeout: str(12), leaderHeartbeatCount: uint(13), collectTimeout: str(14), syncOnStart: bool(15),
  speedUpViewChange: bool(16), leaderRotation: int(17), decisionsPerLeader: uint(18),
});

export const Consenter = message({ id: uint(1), host: str(2), port: uint(3), mspId: str(4), identity: bytes(5), clientTlsCert: bytes(6), serverTlsCert: bytes(7) });
/** `common.Orderers`: who signs blocks under consensus type `BFT`. */
export const Orderers = message({ consenterMapping: list(1, Consenter) });

export const ChannelRestrictions = message({ maxCount: uint(1) });
