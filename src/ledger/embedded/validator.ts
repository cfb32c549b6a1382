/**
 * The part of validation that depends on what came before: duplicate ids, membership at this height, endorsement policies,
 * and whether everything that was read is still so (MVCC and phantoms). Transactions are judged in block order; each sees
 * the valid ones before it. The verdict is a function of the chain alone, so a replay gives the same.
 */
import { equalBytes, toHex, utf8 } from '#base/bytes.ts';
import { validationCode, type ValidationCode } from '../codes.ts';
import { compareKeys, sortedKeys } from '../key-order.ts';
import { KVRWSet, VALIDATION_PARAMETER, type RangeQueryInfo, type TxPvtReadWriteSet, type Version } from '../protos/rwset.ts';
import { SignaturePolicyEnvelope } from '../protos/config.ts';
import { isCoded } from '#base/errors.ts';
import type { ChannelView } from './channel-config.ts';
import { nativeHash } from './hash.ts';
import { LIFECYCLE, type Definition } from './lifecycle.ts';
import { isRefusal, type Identity } from './msp.ts';
import { satisfies } from './policy.ts';
import type { CollectionWrites, NamespaceWrites, Prepared } from './prepared.ts';
import type { StateReader } from './state-reader.ts';
import { entryOf, newBatch, putHash, type Height, type StateUpdate, type UpdateBatch } from './update-batch.ts';

export interface BlockContext {
  readonly number: number;
  readonly view: ChannelView;
  readonly reader: StateReader;
  definition(name: string): Definition | undefined;
  /** Private values that endorsing peers kept back for this transaction. */
  privateSet(txId: string): TxPvtReadWriteSet | undefined;
}

export interface Verdicts {
  readonly codes: readonly ValidationCode[];
  readonly batch: UpdateBatch;
}

/** Judges the transactions of one block. Configuration transactions are judged by `config-update.ts`, in blocks of their own. */
export function judgeBlock(transactions: readonly Prepared[], context: BlockContext): Verdicts {
  const batch = newBatch();
  const seen = new Set<string>();
  const codes = transactions.map((prepared, tx) => {
    const code = judge(prepared, { context, batch, seen });
    if (prepared.txId !== '' && prepared.code === validationCode.VALID) seen.add(prepared.txId);
    if (code === validationCode.VALID) apply(prepared, { context, batch, tx });
    return code;
  });
  dropOverwrittenPrivate(batch);
  return { codes, batch };
}

interface Judging {
  readonly context: BlockContext;
  readonly batch: UpdateBatch;
  readonly seen: ReadonlySet<string>;
}

function judge(prepared: Prepared, { context, batch, seen }: Judging): ValidationCode {
  const { action, outer } = prepared;
  if (prepared.code !== validationCode.VALID) return prepared.code;
  if (action === undefined || outer === undefined) return validationCode.INVALID_OTHER_REASON;
  const current = prepared.sequence === context.view.config.sequence;
  const creator = current && prepared.creator !== undefined ? prepared.creator : context.view.identify(outer.signatureHeader.creator);
  if (isRefusal(creator) || !insideLife(creator, outer.channelHeader.timestamp?.seconds ?? 0)) return validationCode.BAD_CREATOR_SIGNATURE;
  const endorsers = current ? prepared.endorsers : stillMembers(action.endorsements, prepared.endorsers, context.view);
  if (seen.has(prepared.txId) || context.reader.transaction(prepared.txId) !== undefined) return validationCode.DUPLICATE_TXID;
  const policies = judgePolicies(prepared, endorsers, { context, batch });
  return policies === validationCode.VALID ? judgeReads(prepared.sets, { context, batch }) : policies;
}

/** The transaction's own time must lie in the certificate's life. Real time is asked at the door, where there is a clock. */
function insideLife({ certificate }: Identity, seconds: number): boolean {
  return seconds * 1000 >= certificate.notBefore && seconds * 1000 <= certificate.notAfter;
}

/** Endorsers of a transaction that was prepared under an earlier configuration. */
function stillMembers(endorsements: readonly { readonly endorser: Uint8Array }[], verified: readonly Identity[], view: ChannelView): Identity[] {
  const right = new Set(verified.map((identity) => toHex(identity.certificate.fingerprint)));
  return endorsements.map(({ endorser }) => view.identify(endorser)).filter((answer): answer is Identity => !isRefusal(answer) && right.has(toHex(answer.certificate.fingerprint)));
}

type Scope = Pick<Judging, 'context' | 'batch'>;

function judgePolicies({ action, sets }: Prepared, endorsers: readonly Identity[], scope: Scope): ValidationCode {
  const contract = action?.contract ?? '';
  if (contract === LIFECYCLE) {
    if (sets.some((set) => set.namespace !== LIFECYCLE && writes(set))) return validationCode.ILLEGAL_WRITESET;
    return scope.context.view.holds('/Channel/Application/LifecycleEndorsement', endorsers) ? validationCode.VALID : validationCode.ENDORSEMENT_POLICY_FAILURE;
  }
  const definition = scope.context.definition(contract);
  if (definition === undefined) return validationCode.INVALID_CHAINCODE;
  if (action?.action.chaincodeId?.version !== definition.version) return validationCode.EXPIRED_CHAINCODE;
  if (sets.some((set) => set.namespace === LIFECYCLE && writes(set))) return validationCode.ILLEGAL_WRITESET;
  const own = sets.find((set) => set.namespace === contract) ?? { namespace: contract, set: KVRWSet.decode(new Uint8Array(0)), collections: [] };
  for (const set of [own, ...sets.filter((other) => other.namespace !== contract && writes(other))]) {
    const code = judgeNamespace(set, endorsers, scope);
    if (code !== validationCode.VALID) return code;
  }
  return validationCode.VALID;
}

const writes = (set: NamespaceWrites): boolean => set.set.writes.length > 0 || set.set.metadataWrites.length > 0 || set.collections.some((collection) => collection.hashed.hashedWrites.length > 0);

/** A key with a policy of its own asks for that one; all else asks, once, for the contract's. */
function judgeNamespace({ namespace, set, collections }: NamespaceWrites, endorsers: readonly Identity[], { context, batch }: Scope): ValidationCode {
  const definition = context.definition(namespace);
  if (definition === undefined) return validationCode.INVALID_CHAINCODE;
  const keys = new Set([...set.writes.map((write) => write.key), ...set.metadataWrites.map((write) => write.key)]);
  let needContract = keys.size === 0;
  for (const key of keys) {
    const policy = currentPolicy(namespace, key, { context, batch });
    if (policy === null || policy.length === 0) needContract = true;
    else if (!satisfiesBytes(policy, endorsers)) return validationCode.ENDORSEMENT_POLICY_FAILURE;
  }
  for (const { name, hashed } of collections) {
    const config = definition.collections.get(name);
    if (config === undefined) return validationCode.INVALID_WRITESET;
    const own = config.endorsementPolicy?.signaturePolicy;
    if (own === undefined) needContract ||= hashed.hashedWrites.length > 0;
    else if (hashed.hashedWrites.length > 0 && !satisfies(own, endorsers)) return validationCode.ENDORSEMENT_POLICY_FAILURE;
  }
  return needContract && !satisfies(definition.policy, endorsers) ? validationCode.ENDORSEMENT_POLICY_FAILURE : validationCode.VALID;
}

function satisfiesBytes(policy: Uint8Array, endorsers: readonly Identity[]): boolean {
  try {
    return satisfies(SignaturePolicyEnvelope.decode(policy), endorsers);
  } catch (error) {
    if (isCoded(error, 'LEDGER_MALFORMED')) return false;
    throw error;
  }
}

function currentPolicy(namespace: string, key: string, { context, batch }: Scope): Uint8Array | null {
  const update = batch.state.get(namespace)?.get(key);
  if (update !== undefined) return update.policy;
  return context.reader.hasKeyPolicies(namespace) ? (context.reader.get(namespace, key)?.policy ?? null) : null;
}

const sameVersion = (left: Version | undefined, right: Height | undefined): boolean => (left === undefined ? right === undefined : right !== undefined && left.blockNum === right.block && left.txNum === right.tx);

function judgeReads(sets: readonly NamespaceWrites[], scope: Scope): ValidationCode {
  for (const { namespace, set, collections } of sets) {
    for (const { key, version } of set.reads) if (!sameVersion(version, currentHeight(namespace, key, scope))) return validationCode.MVCC_READ_CONFLICT;
    for (const range of set.rangeQueriesInfo) if (!sameRange(namespace, range, scope)) return validationCode.PHANTOM_READ_CONFLICT;
    for (const collection of collections) if (!sameHashes(namespace, collection, scope)) return validationCode.MVCC_READ_CONFLICT;
  }
  return validationCode.VALID;
}

function currentHeight(namespace: string, key: string, { context, batch }: Scope): Height | undefined {
  const update = batch.state.get(namespace)?.get(key);
  if (update !== undefined) return update.value === null ? undefined : update;
  return context.reader.get(namespace, key);
}

function sameHashes(namespace: string, { name, hashed }: CollectionWrites, { context, batch }: Scope): boolean {
  return hashed.hashedReads.every(({ keyHash, version }) => {
    const update = batch.hashes.get(namespace)?.get(name)?.get(toHex(keyHash));
    const height = update === undefined ? context.reader.hash(namespace, name, keyHash) : update.valueHash === null ? undefined : update;
    return sameVersion(version, height);
  });
}

/** Runs the range again over state and this block's updates; the same keys with the same versions must come out. */
function sameRange(namespace: string, range: RangeQueryInfo, { context, batch }: Scope): boolean {
  const reads = range.rawReads?.kvReads ?? [];
  if (range.readsMerkleHashes !== undefined) return false;
  // A scan that stopped early is protected up to and including its last key.
  const end = range.itrExhausted ? range.endKey : `${range.endKey}\0`;
  const updates = batch.state.get(namespace) ?? new Map<string, StateUpdate>();
  const inside = (key: string): boolean => compareKeys(key, range.startKey) >= 0 && (end === '' || compareKeys(key, end) < 0);
  const changed = sortedKeys(updates).filter(inside);
  const stored = context.reader.range(namespace, { start: range.startKey, end }, reads.length + changed.length + 1);
  const merged = new Map<string, Height>(stored.map((row) => [row.key, row]));
  for (const key of changed) {
    const update = updates.get(key) as StateUpdate;
    if (update.value === null) merged.delete(key);
    else merged.set(key, update);
  }
  return merged.size === reads.length && reads.every(({ key, version }) => sameVersion(version, merged.get(key)));
}

interface Applying {
  readonly context: BlockContext;
  readonly batch: UpdateBatch;
  readonly tx: number;
}

function apply(prepared: Prepared, applying: Applying): void {
  for (const set of prepared.sets) {
    applyState(set, applying);
    for (const collection of set.collections) applyHashes(set.namespace, collection, applying);
  }
  if (prepared.sets.some((set) => set.collections.some((collection) => collection.privateHash.length > 0))) applyPrivate(prepared, applying);
}

function applyState({ namespace, set }: NamespaceWrites, { context, batch, tx }: Applying): void {
  if (set.writes.length === 0 && set.metadataWrites.length === 0) return;
  const updates = entryOf(batch.state, namespace, () => new Map<string, StateUpdate>());
  const height = { block: context.number, tx };
  for (const { key, isDelete, value } of set.writes) {
    const policy = isDelete ? null : currentPolicy(namespace, key, { context, batch });
    updates.set(key, { ...height, value: isDelete ? null : value, policy });
    batch.history.push({ namespace, key, tx });
  }
  for (const { key, entries } of set.metadataWrites) {
    const value = updates.has(key) ? (updates.get(key) as StateUpdate).value : (context.reader.get(namespace, key)?.value ?? null);
    const policy = entries.find((entry) => entry.name === VALIDATION_PARAMETER)?.value ?? null;
    // Metadata of a key that does not exist is ignored, as in Fabric.
    if (value !== null) updates.set(key, { ...height, value, policy });
  }
}

function applyHashes(namespace: string, { name, hashed }: CollectionWrites, { context, batch, tx }: Applying): void {
  for (const { keyHash, isDelete, valueHash, isPurge } of hashed.hashedWrites) {
    putHash(batch, { namespace, collection: name }, { block: context.number, tx, keyHash, valueHash: isDelete || isPurge ? null : valueHash, purge: isPurge });
  }
}

/** Private values are taken only when they are what the endorsers hashed; a peer that lacks them goes on without. */
function applyPrivate({ txId, sets }: Prepared, { context, batch, tx }: Applying): void {
  for (const { namespace, collectionPvtRwset } of context.privateSet(txId)?.nsPvtRwset ?? []) {
    for (const { collectionName, rwset } of collectionPvtRwset) {
      const declared = sets.find((set) => set.namespace === namespace)?.collections.find((collection) => collection.name === collectionName);
      if (declared === undefined || !equalBytes(nativeHash(rwset), declared.privateHash)) continue;
      for (const { key, isDelete, value } of KVRWSet.decode(rwset).writes) {
        if (!isDelete) batch.private.push({ namespace, collection: collectionName, key, keyHash: nativeHash(utf8(key)), value, block: context.number, tx });
      }
    }
  }
}

/** Of several writes of one key in a block, only the last leaves a value. */
function dropOverwrittenPrivate(batch: UpdateBatch): void {
  const kept = batch.private.filter(({ namespace, collection, keyHash, tx }) => {
    const last = batch.hashes.get(namespace)?.get(collection)?.get(toHex(keyHash));
    return last?.tx === tx && last.valueHash !== null;
  });
  batch.private.splice(0, batch.private.length, ...kept);
}
