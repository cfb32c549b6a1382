/**
 * Contract definitions: Fabric's `_lifecycle` namespace, with its own keys and messages, so that endorsement policies and
 * collections are part of the channel's state and history and not of somebody's configuration file.
 */
import { fromUtf8, toBase64url, utf8 } from '#base/bytes.ts';
import { ApplicationPolicy, CollectionConfigPackage, SignaturePolicyEnvelope, type StaticCollectionConfig } from '../protos/config.ts';
import { bool, bytes, message, optionalInt, str, strList, sub } from '../wire.ts';
import type { Version } from '../protos/rwset.ts';
import type { Chaincode, ContractResponse } from '../stub.ts';
import { organisationsOf, peerPolicy } from './policy.ts';
import type { StateReader } from './state-reader.ts';

export const LIFECYCLE = '_lifecycle';

/** What an operator says of a collection of private data. */
export interface CollectionSpec {
  readonly name: string;
  /** MSP ids whose peers keep the values. */
  readonly members: readonly string[];
  /** Blocks after which values are purged; absent: never. */
  readonly blockToLive?: number;
  /** Only members' clients may read or write. Both default to true. */
  readonly memberOnlyRead?: boolean;
  readonly memberOnlyWrite?: boolean;
}

// fabric-protos `peer/lifecycle/*.proto`
const StateMetadata = message({ datatype: str(1), fields: strList(2) });
const StateData = message({ int64: optionalInt(1), bytes: bytes(2), string: str(3) });
const EndorsementInfo = message({ version: str(1), initRequired: bool(2), endorsementPlugin: str(3) });
const ValidationInfo = message({ validationPlugin: str(1), validationParameter: bytes(2) });
export const CommitDefinitionArgs = message({
  sequence: optionalInt(1), name: str(2), version: str(3), endorsementPlugin: str(4), validationPlugin: str(5), validationParameter: bytes(6), collections: sub(7, CollectionConfigPackage), initRequired: bool(8),
});

const FIELDS = ['Sequence', 'EndorsementInfo', 'ValidationInfo', 'Collections'] as const;
const metadataKey = (name: string): string => `namespaces/metadata/${name}`;
export const fieldKey = (name: string, field: (typeof FIELDS)[number]): string => `namespaces/fields/${name}/${field}`;

export interface Definition {
  readonly name: string;
  readonly sequence: number;
  readonly version: string;
  /** Where the sequence was written: every endorsement reads it, so that a change of definition invalidates what is under way. */
  readonly stateVersion: Version;
  readonly policy: SignaturePolicyEnvelope;
  readonly collections: ReadonlyMap<string, StaticCollectionConfig>;
}

/** The committed definition of a contract, if there is one. */
export function readDefinition(reader: StateReader, name: string): Definition | undefined {
  const sequence = reader.get(LIFECYCLE, fieldKey(name, 'Sequence'));
  if (sequence === undefined) return undefined;
  const field = (which: (typeof FIELDS)[number]): Uint8Array => StateData.decode(reader.get(LIFECYCLE, fieldKey(name, which))?.value ?? new Uint8Array(0)).bytes;
  const policy = ApplicationPolicy.decode(ValidationInfo.decode(field('ValidationInfo')).validationParameter).signaturePolicy;
  const configs = CollectionConfigPackage.decode(field('Collections')).config.map((config) => config.staticCollectionConfig).filter((config) => config !== undefined);
  return {
    name, sequence: StateData.decode(sequence.value).int64 ?? 0, version: EndorsementInfo.decode(field('EndorsementInfo')).version, stateVersion: { blockNum: sequence.block, txNum: sequence.tx },
    policy: policy ?? { version: 0, rule: undefined, identities: [] }, collections: new Map(configs.map((config) => [config.name, config])),
  };
}

/** Arguments of the definition that an operator's words amount to. */
export function definitionArgs(parts: { readonly name: string; readonly sequence: number; readonly version: string; readonly needed: number; readonly peers: readonly string[]; readonly collections: readonly CollectionSpec[] }): Uint8Array {
  const config = parts.collections.map((spec) => ({
    staticCollectionConfig: {
      name: spec.name, memberOrgsPolicy: { signaturePolicy: peerPolicy(1, spec.members) }, requiredPeerCount: 0, maximumPeerCount: spec.members.length, blockToLive: spec.blockToLive ?? 0,
      memberOnlyRead: spec.memberOnlyRead ?? true, memberOnlyWrite: spec.memberOnlyWrite ?? true,
    },
  }));
  return CommitDefinitionArgs.encode({
    sequence: parts.sequence, name: parts.name, version: parts.version, endorsementPlugin: 'escc', validationPlugin: 'vscc',
    validationParameter: ApplicationPolicy.encode({ signaturePolicy: peerPolicy(parts.needed, parts.peers) }), collections: { config },
  });
}

/** True when the committed definition already says what the arguments say (their sequence aside). */
export function sameDefinition(reader: StateReader, name: string, args: Uint8Array): boolean {
  const wanted = CommitDefinitionArgs.decode(args);
  const stored = (field: (typeof FIELDS)[number]): Uint8Array => StateData.decode(reader.get(LIFECYCLE, fieldKey(name, field))?.value ?? new Uint8Array(0)).bytes;
  return readDefinition(reader, name) !== undefined && fieldValues(wanted).every(([field, value]) => toBase64url(stored(field)) === toBase64url(value));
}

type Args = ReturnType<typeof CommitDefinitionArgs.decode>;

function fieldValues(args: Args): (readonly [(typeof FIELDS)[number], Uint8Array])[] {
  return [
    ['EndorsementInfo', EndorsementInfo.encode({ version: args.version, initRequired: args.initRequired, endorsementPlugin: args.endorsementPlugin })],
    ['ValidationInfo', ValidationInfo.encode({ validationPlugin: args.validationPlugin, validationParameter: args.validationParameter })],
    ['Collections', CollectionConfigPackage.encode(args.collections ?? { config: [] })],
  ];
}

/** The system contract behind `_lifecycle`, for one call: its argument is protobuf, not text. Its policy is the channel's `LifecycleEndorsement`. */
export function lifecycleContract(args: readonly Uint8Array[]): Chaincode {
  const refuse = (text: string): ContractResponse => ({ status: 500, message: text, payload: new Uint8Array(0) });
  return {
    async Invoke(stub) {
      const [fcn = new Uint8Array(0), argument = new Uint8Array(0)] = args;
      if (fromUtf8(fcn) !== COMMIT) return refuse(`unknown function ${fromUtf8(fcn)}`);
      const wanted = CommitDefinitionArgs.decode(argument);
      const before = await stub.getState(fieldKey(wanted.name, 'Sequence'));
      const current = before.length === 0 ? 0 : (StateData.decode(before).int64 ?? 0);
      if (wanted.sequence !== current + 1) return refuse(`requested sequence is ${wanted.sequence ?? 0}, but new definition must be sequence ${current + 1}`);
      await stub.putState(metadataKey(wanted.name), StateMetadata.encode({ datatype: 'ChaincodeDefinition', fields: FIELDS }));
      await stub.putState(fieldKey(wanted.name, 'Sequence'), StateData.encode({ int64: wanted.sequence }));
      for (const [field, value] of fieldValues(wanted)) await stub.putState(fieldKey(wanted.name, field), StateData.encode({ bytes: value }));
      return { status: 200, message: '', payload: new Uint8Array(0) };
    },
  };
}

const COMMIT = 'CommitChaincodeDefinition';

/** Arguments of the call that commits a definition. */
export const commitCall = (args: Uint8Array): Uint8Array[] => [utf8(COMMIT), args];

/** Who may use a contract's collections in one call; the methods throw with Fabric's sentences. */
export interface CollectionRules {
  checkKnown(collection: string): void;
  checkRead(collection: string): void;
  checkWrite(collection: string): void;
}

/** Rules for one endorsing organisation and one caller. */
export function collectionRules(definition: Definition, endorser: string, caller: string): CollectionRules {
  const find = (name: string): StaticCollectionConfig => {
    const config = definition.collections.get(name);
    if (config === undefined) throw new Error(`collection config not defined for chaincode [${definition.name}], pass the collection configuration upon chaincode definition: collection [${name}] not found`);
    return config;
  };
  const members = (config: StaticCollectionConfig): string[] => organisationsOf(config.memberOrgsPolicy?.signaturePolicy ?? { version: 0, rule: undefined, identities: [] });
  return {
    checkKnown: (name) => void find(name),
    checkRead: (name) => {
      const config = find(name);
      if (!members(config).includes(endorser)) throw new Error(`private data matching public hash version is not available. Collection [${name}]: ${endorser} is no member`);
      if (config.memberOnlyRead && !members(config).includes(caller)) throw new Error(`tx creator does not have read access permission on privatedata in chaincodeName:${definition.name} collectionName: ${name}`);
    },
    checkWrite: (name) => {
      const config = find(name);
      if (config.memberOnlyWrite && !members(config).includes(caller)) throw new Error(`tx creator does not have write access permission on privatedata in chaincodeName:${definition.name} collectionName: ${name}`);
    },
  };
}
