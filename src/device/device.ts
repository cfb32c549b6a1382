/**
 * The person's device: the only party that bridges keepers and data users. The same code runs in Node and in browsers;
 * everything it needs is a parameter. Acts run one at a time; what a stop interrupts, the next `sync` finishes.
 */
import { toBase64url, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Digest, OrgId, RecordId, SlotTag } from '#model/ids.ts';
import type { Signed } from '#model/messages.ts';
import { answer, type AnswerWish } from './answers.ts';
import { checkpointViews, compareWith, exchangeCheckpoints, guardedLedger, type CheckpointView, type Compared } from './checkpoints.ts';
import { createTurns, oneAtATime, type Context, type DeviceOptions } from './context.ts';
import { enrol } from './enrolment.ts';
import { erase } from './erasures.ts';
import { exportAll, readExport } from './export.ts';
import { recoverIndex } from './index.ts';
import { deviceKeys, openRoot, storeRoot } from './keys.ts';
import { linkCode } from './links.ts';
import { accessLogs, type AccessLogView } from './log.ts';
import { interruptible, patientFetch, patientLedger } from './patience.ts';
import { permit, type PermitWish } from './permits.ts';
import { preview, type Choice, type Preview } from './preview.ts';
import { proofOf, type ProofFile } from './proofs.ts';
import { consentReceipt, receipts, type ConsentReceipt, type Receipt } from './receipts.ts';
import { reconcile, type Finding } from './reconcile.ts';
import { placedRecord, recordBytes, recordViews, type RecordView } from './records.ts';
import { requestCards, type RequestCard } from './requests.ts';
import { report, revoke, withdraw, type ReportReasonName } from './revocations.ts';
import { enrolments, kept, links, ONLY, type Permit } from './state.ts';
import { SPREAD_MS } from './spacing.ts';
import { pendingActs, synchronise, type PendingAct, type SyncReport } from './sync.ts';
import { listTemplates, type OfferedTemplate } from './templates.ts';
import { openVault } from './vault.ts';

export type { DeviceOptions } from './context.ts';

export interface Device {
  /** Has this device its enrolment certificate? */
  enrolled(): Promise<boolean>;
  /** Keepers for which a link was begun. */
  keepers(): Promise<readonly OrgId[]>;
  enrol(input: { readonly code: string }): Promise<void>;
  /** The payload of the QR code for a keeper's desk, valid for 15 minutes. */
  linkCode(keeper: OrgId): Promise<Signed>;
  /** Throws DEVICE_NOT_ENROLLED; what else fails is in the report and tried again next time. Decisions interrupt it (SYNC_INTERRUPTED in the report). */
  sync(): Promise<SyncReport>;
  /** Synchronises until nothing is left to do, sleeping until index entries are due; ends early when the signal aborts or nothing moves. */
  settle(signal?: AbortSignal): Promise<readonly PendingAct[]>;
  pending(): Promise<readonly PendingAct[]>;
  records(): Promise<readonly RecordView[]>;
  /** The received bytes, checked. */
  openRecord(id: RecordId): Promise<Bytes>;
  /** Templates on offer, to permit requests by. */
  templates(): Promise<readonly OfferedTemplate[]>;
  permit(wish: PermitWish): Promise<Permit>;
  requests(): Promise<readonly RequestCard[]>;
  preview(slot: SlotTag, choice: Choice): Promise<Preview>;
  answer(slot: SlotTag, wish: AnswerWish): Promise<void>;
  revoke(slot: SlotTag): Promise<void>;
  withdraw(slot: SlotTag): Promise<void>;
  report(slot: SlotTag, reason: ReportReasonName): Promise<void>;
  accessLog(): Promise<readonly AccessLogView[]>;
  /** What this device has seen of every channel, with the proof where two histories were shown. */
  checkpoints(): Promise<readonly CheckpointView[]>;
  /** Exchanges checkpoints now; the codes of what is wrong. Part of every synchronisation. */
  watch(): Promise<readonly string[]>;
  /** Holds somebody's checkpoint note against the one kept here. */
  compareCheckpoint(note: string): Promise<Compared>;
  erase(ids: readonly RecordId[]): Promise<void>;
  receipts(): Promise<readonly Receipt[]>;
  consentReceipt(slot: SlotTag): Promise<ConsentReceipt>;
  reconcile(): Promise<readonly Finding[]>;
  /** Reads the whole index and takes over the deliveries this device does not know. */
  recoverIndex(): Promise<number>;
  proofOf(id: RecordId): Promise<ProofFile>;
  exportAll(passphrase?: string): Promise<Bytes>;
  /** Restores an export into this device, which must be fresh. Throws DEVICE_ENROLLED otherwise. */
  importAll(file: Uint8Array, passphrase: string): Promise<void>;
  /** Digest over everything this device keeps: equal before an export and after its import. */
  stateDigest(): Promise<Digest>;
  /** Waits for the act under way. The store stays open: it belongs to whoever opened it. */
  close(): Promise<void>;
}


/** Opens the device of a store, making its root secret in an empty one. Throws DEVICE_LOCKED, VAULT_DAMAGED. */
export async function createDevice(options: DeviceOptions): Promise<Device> {
  let context = await openContext(options);
  const turns = createTurns(options.exclusive ?? oneAtATime());
  type Act<A extends readonly unknown[], R> = (context: Context, ...input: A) => Promise<R>;
  /** Reads what is stored: at any time, also while something else is under way. */
  const reading = <A extends readonly unknown[], R>(act: Act<A, R>) => (...input: A): Promise<R> => act(context, ...input);
  const alone = <A extends readonly unknown[], R>(act: Act<A, R>) => (...input: A): Promise<R> => turns.next(() => act(context, ...input));
  /** A person's decision does not wait for a synchronisation. */
  const urgent = <A extends readonly unknown[], R>(act: Act<A, R>) => (...input: A): Promise<R> => turns.urgent(() => act(context, ...input));
  const device: Device = {
    enrolled: reading(async ({ vault }) => (await vault.get(enrolments, ONLY))?.identity.certificate !== undefined),
    keepers: reading(async ({ vault }) => (await vault.all(links)).map(([, { keeper }]) => keeper)),
    enrol: alone((own, { code }: { readonly code: string }) => enrol(own, code)),
    linkCode: alone(linkCode),
    sync: () => turns.background((signal) => synchronise(interruptible(context, signal), signal)),
    settle: (signal) => settle(device, options, signal),
    pending: reading(pendingActs),
    records: reading(recordViews),
    openRecord: reading(async (own, id: RecordId) => recordBytes(own, await placedRecord(own, id))),
    templates: alone(listTemplates),
    permit: alone(permit),
    requests: reading(requestCards),
    preview: reading(preview),
    answer: urgent(answer),
    revoke: urgent(revoke),
    withdraw: urgent(withdraw),
    report: urgent(report),
    accessLog: alone(accessLogs),
    checkpoints: reading(checkpointViews),
    watch: alone(exchangeCheckpoints),
    compareCheckpoint: alone((own, note: string) => compareWith(own, note)),
    erase: alone(erase),
    receipts: reading(receipts),
    consentReceipt: alone(consentReceipt),
    reconcile: alone(reconcile),
    recoverIndex: alone(recoverIndex),
    proofOf: reading(proofOf),
    exportAll: alone(exportAll),
    importAll: alone(async (own, file: Uint8Array, passphrase: string) => {
      await refuseEnrolled(own);
      context = await importInto(options, file, passphrase);
    }),
    stateDigest: reading(async ({ vault }) => toBase64url(await vault.digest(kept)) as Digest),
    close: () => turns.urgent(async () => undefined),
  };
  return device;
}

export async function openContext(options: DeviceOptions): Promise<Context> {
  const { unlockKey: _, exclusive: __, ...rest } = options;
  const keys = deviceKeys(await openRoot(options));
  const { store, random } = options;
  const vault = openVault({ store, keys: keys.vault, random });
  return {
    ...rest,
    fetch: patientFetch(options),
    ledger: guardedLedger(patientLedger(options), vault),
    indexDelay: options.indexDelay ?? { minMs: 60_000, maxMs: SPREAD_MS },
    dummiesPerEntry: options.dummiesPerEntry ?? 0,
    slotDelayMaxMs: options.slotDelayMaxMs ?? SPREAD_MS,
    keys,
    vault,
  };
}

async function refuseEnrolled({ vault }: Context): Promise<void> {
  if ((await vault.get(enrolments, ONLY)) !== undefined) throw new CodedError('DEVICE_ENROLLED', 'This device belongs to somebody already.', { next: 'Import into an empty folder.' });
}

/** State first, root secret last: until the root is there, what was written cannot be opened and the device is still fresh. */
async function importInto(options: DeviceOptions, file: Uint8Array, passphrase: string): Promise<Context> {
  const { root, changes } = await readExport(file, passphrase);
  const { store, random } = options;
  await openVault({ store, keys: deviceKeys(root).vault, random }).write(...changes);
  await storeRoot(options, root);
  return openContext(options);
}

async function settle(device: Device, { clock, scheduler }: DeviceOptions, signal?: AbortSignal): Promise<readonly PendingAct[]> {
  let before = '';
  for (;;) {
    await device.sync();
    const pending = await device.pending();
    const seen = JSON.stringify(pending);
    const nextDue = Math.min(...pending.map(({ dueAt }) => dueAt).filter((dueAt) => dueAt > clock.now()));
    if (pending.length === 0 || signal?.aborted === true || (seen === before && nextDue === Infinity)) return pending;
    before = seen;
    if (nextDue !== Infinity) await scheduler.sleep(nextDue - clock.now(), signal);
  }
}
