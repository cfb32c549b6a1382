/**
 * A contract is a table: only its rows can be called. One `Invoke` does for every row what every transaction needs:
 * caller, role, input, rule and effect (the row's `run`), canonical output and event, errors as coded JSON in Fabric's
 * message (Fabric drops error codes; a status of 400 or more refuses endorsement).
 */
import { fromUtf8, toBase64url } from '#base/bytes.ts';
import { canonicalBytes, canonicalJson, type Json } from '#base/canonical-json.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import { callerIdentity } from '#ledger/client-identity.ts';
import type { Chaincode, ContractResponse, ContractStub } from '#ledger/stub.ts';
import { accessRow, decideAccess, type AccessRow } from '#model/access.ts';
import { errorRow } from '#model/errors.ts';
import { OrgId, instant, type CallerId, type ChannelName, type Digest, type Instant } from '#model/ids.ts';
import { orgClass, Role, type Caller, type ChannelKind } from '#model/orgs.ts';
import { moveInputs, NOT_MOVED, type MoveState } from '#model/move.ts';
import { decideWritable } from '#model/rules/move.ts';
import { later } from '#model/rules/time.ts';
import { codedRefusal, enforce, refuse } from '#model/rules/verdict.ts';
import type { z } from 'zod';
import { catalogue, type Input, type Output, type SubmitName, type TransactionName } from './catalogue.ts';
import { readState } from './state.ts';

/** What a row's `run` works with. */
export interface Transaction {
  readonly stub: ContractStub;
  readonly caller: Caller;
  readonly channel: ChannelName;
  /** The later of the client's claimed time and the channel's time floor. */
  now(): Promise<Instant>;
}

/** The answer and, for transactions that write, what their event says: ids and counts. */
export type Outcome<O, Writes extends boolean> = Writes extends true ? { readonly output: O; readonly event: Json } : { readonly output: O };
export type Run<K extends ChannelKind, N extends TransactionName<K>> = (tx: Transaction, input: Input<K, N>) => Promise<Outcome<Output<K, N>, N extends SubmitName<K> ? true : false>>;
export type Runs<K extends ChannelKind> = { readonly [N in TransactionName<K>]: Run<K, N> };

export interface ContractRow {
  readonly name: string;
  readonly access: AccessRow;
  readonly input: z.ZodType;
  readonly event: string | undefined;
  readonly run: (tx: Transaction, input: never) => Promise<{ readonly output: unknown; readonly event?: Json }>;
}

export interface Contract extends Chaincode {
  readonly kind: ChannelKind;
  readonly rows: ReadonlyMap<string, ContractRow>;
}

/** The contract of a channel kind: one `run` per transaction of the catalogue, nothing else is callable. */
export function defineContract<K extends ChannelKind>(kind: K, runs: Runs<K>): Contract {
  const rows = new Map<string, ContractRow>();
  const { inputs, events } = catalogue[kind] as { readonly inputs: Readonly<Record<string, z.ZodType>>; readonly events: Readonly<Record<string, string>> };
  for (const [name, run] of Object.entries(runs) as [string, ContractRow['run']][]) {
    const access = accessRow(kind, name);
    const input = inputs[name];
    if (access === undefined || input === undefined) throw new CodedError('INTERNAL_INVARIANT', `Broken invariant: ${kind}.${name} has no access row or no input.`);
    rows.set(name, { name, access, input, event: events[name], run });
  }
  return { kind, rows, Invoke: (stub) => invoke({ kind, rows }, stub) };
}

async function invoke(contract: Pick<Contract, 'kind' | 'rows'>, stub: ContractStub): Promise<ContractResponse> {
  try {
    return { status: 200, message: '', payload: await runTransaction(contract, stub) };
  } catch (error) {
    return refusal(error);
  }
}

async function runTransaction({ kind, rows }: Pick<Contract, 'kind' | 'rows'>, stub: ContractStub): Promise<Uint8Array> {
  const { fcn, params } = stub.getFunctionAndParameters();
  const row = rows.get(fcn);
  if (row === undefined) throw codedRefusal(refuse('TRANSACTION_UNKNOWN'));
  const channel = stub.getChannelID() as ChannelName;
  const caller = readCaller(stub);
  enforce(decideAccess(caller, { kind, channel, transaction: fcn }));
  const input = parseInput(row.input, params);
  if (row.access.kind === 'submit' && !Object.hasOwn(moveInputs, fcn)) enforce(decideWritable(await moveOf(stub)));
  const { output, event } = await row.run({ stub, caller, channel, now: clockOf(stub) }, input as never);
  if (row.event !== undefined) stub.setEvent(row.event, canonicalBytes(event ?? null));
  return canonicalBytes(output as Json);
}

/** The caller as its certificate says; a role or organisation that the model does not know has no rights. */
function readCaller(stub: ContractStub): Caller {
  const { mspId, commonName, attributes, fingerprint, keyDigest } = callerIdentity(stub);
  const org = OrgId.safeParse(mspId);
  const role = Role.safeParse(attributes['hk.role']);
  if (!org.success || !role.success) throw codedRefusal(refuse('ROLE_NOT_ALLOWED'));
  return { org: org.data, class: orgClass(org.data), role: role.data, name: commonName, id: toBase64url(fingerprint) as CallerId, key: toBase64url(keyDigest) as Digest };
}

/** One argument of canonical JSON: one text per input, so nothing hides in duplicate keys or spelling. Values are never echoed. */
function parseInput(schema: z.ZodType, params: readonly string[]): unknown {
  const [text] = params;
  if (text === undefined || params.length !== 1) throw codedRefusal(refuse('INPUT_INVALID', { path: '', problem: 'expected one argument' }));
  const json = parseJson(text);
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw codedRefusal(refuse('INPUT_INVALID', { path: issue?.path.join('.') ?? '', problem: issue?.code ?? 'invalid' }));
  }
  if (canonicalJson(json) !== text) throw codedRefusal(refuse('INPUT_INVALID', { path: '', problem: 'not canonical JSON' }));
  return parsed.data;
}

function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    // The parser's own message quotes the input, so it is dropped.
    throw codedRefusal(refuse('INPUT_INVALID', { path: '', problem: 'not JSON' }));
  }
}

const LAST_SECOND = 253_402_300_799;

/** The client's claimed time. Throws INPUT_INVALID outside the years 1970 to 9999. */
export function claimedTime(stub: ContractStub): Instant {
  const { seconds, nanos } = stub.getTxTimestamp();
  const whole = typeof seconds === 'number' ? seconds : seconds.toNumber();
  if (!(whole >= 0 && whole <= LAST_SECOND && nanos >= 0 && nanos < 1_000_000_000)) throw codedRefusal(refuse('INPUT_INVALID', { path: 'timestamp', problem: 'out of range' }));
  return instant(whole * 1_000 + Math.floor(nanos / 1_000_000));
}

export const TIME_FLOOR = ['time-floor'] as const;

export const MOVE = ['move'] as const;

/** Is the channel's state on its way out or in? Every transaction reads it, so one that was under way when that changed is judged a conflict. */
export async function moveOf(stub: ContractStub): Promise<MoveState> {
  return (await readState<MoveState>(stub, MOVE)) ?? NOT_MOVED;
}

/** Reads the floor once per transaction, and only for those that ask. */
function clockOf(stub: ContractStub): () => Promise<Instant> {
  let answer: Promise<Instant> | undefined;
  const read = async (): Promise<Instant> => {
    const claimed = claimedTime(stub);
    const floor = await readState<{ readonly at: Instant }>(stub, TIME_FLOOR);
    return floor === undefined ? claimed : later(claimed, floor.at);
  };
  return () => (answer ??= read());
}

/** A coded error as Fabric carries it; anything else is an internal error and says nothing of itself. */
function refusal(error: unknown): ContractResponse {
  const coded = isCoded(error) ? error : codedRefusal(refuse('INTERNAL'));
  return { status: errorRow(coded.code).status, message: canonicalJson(coded.toJSON() as unknown as Json), payload: new Uint8Array(0) };
}

/** Calls another contract for reading and returns its answer. Throws the other contract's CodedError. */
export async function evaluateElsewhere(stub: ContractStub, target: { readonly contract: string; readonly channel: string; readonly name: string; readonly input: Json }): Promise<Json> {
  const response = await stub.invokeChaincode(target.contract, [target.name, canonicalJson(target.input)], target.channel);
  if (response.status !== 200) throw codedRefusal(refuse('CHANNEL_UNREADABLE', { channel: target.channel }));
  return JSON.parse(fromUtf8(response.payload)) as Json;
}

export type { Input, Output };
