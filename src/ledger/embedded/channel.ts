/** One channel at work: its file, its configuration, its peers and contracts, and the loop that cuts and commits blocks. */
import { CodedError } from '#base/errors.ts';
import type { Log, Random, Scheduler } from '#base/ports.ts';
import { validationCode, type ValidationCode } from '../codes.ts';
import { headerHash } from '../block.ts';
import { Block, headerType, LastConfig, Metadata, metadataSlot } from '../protos/common.ts';
import { ConfigEnvelope } from '../protos/config.ts';
import type { TxPvtReadWriteSet } from '../protos/rwset.ts';
import { readEnvelope } from '../transaction.ts';
import type { Chaincode } from '../stub.ts';
import { orderBlock, sealBlock, type OrderedBlock } from './block-builder.ts';
import { viewOf, type ChannelView } from './channel-config.ts';
import type { ChannelStore } from './channel-store.ts';
import { checkConfigTransaction } from './config-update.ts';
import { createMemo, type EndorsementMemo } from './endorsement-memo.ts';
import { LIFECYCLE, readDefinition, type Definition } from './lifecycle.ts';
import { nativeHash } from './hash.ts';
import type { Peer } from './peer.ts';
import { noBugs, sortByClientTime, unorderedCommitHash, withoutReads, type PlantedBugs } from './planted.ts';
import type { Prepared } from './prepared.ts';
import { createTraffic, type Traffic } from './traffic.ts';
import { newBatch, nextCommitHash } from './update-batch.ts';
import { judgeBlock, type Verdicts } from './validator.ts';

export interface CommittedTransaction {
  readonly code: ValidationCode;
  readonly block: number;
}

interface Waiting {
  readonly prepared: Prepared;
  readonly resolve: (outcome: CommittedTransaction) => void;
  readonly reject: (reason: unknown) => void;
}

export interface ChannelParts {
  readonly store: ChannelStore;
  readonly orderer: Peer;
  readonly random: Random;
  readonly log: Log;
  readonly scheduler: Scheduler;
  /** For tests only. */
  readonly planted?: PlantedBugs;
}

/** Fabric's defaults for `BatchSize`. */
const MAX_TRANSACTIONS = 500;
const MAX_BYTES = 2 * 1024 * 1024;

export class Channel {
  readonly name: string;
  readonly store: ChannelStore;
  readonly peers = new Map<string, Peer>();
  readonly contracts = new Map<string, Chaincode>();
  /** Endorsements of this process and the private values that go with them. */
  readonly memo: EndorsementMemo = createMemo();
  readonly traffic: Traffic;
  readonly #parts: ChannelParts;
  readonly #queue: Waiting[] = [];
  readonly #watchers = new Set<() => void>();
  readonly #definitions = new Map<string, Definition | undefined>();
  readonly #planted: PlantedBugs;
  #view: ChannelView;
  #height: number;
  #lastHash: Uint8Array;
  #lastConfig: number;
  #commitHash: Uint8Array;
  #running: Promise<void> = Promise.resolve();
  #busy = false;
  #closed = false;

  /** Opens on a file that holds block 0 at least. Throws LEDGER_CORRUPT. */
  constructor(parts: ChannelParts) {
    this.#parts = parts;
    this.traffic = createTraffic(parts.scheduler);
    this.#planted = parts.planted ?? noBugs;
    this.store = parts.store;
    this.name = parts.store.channel;
    this.#height = parts.store.head.height();
    this.#commitHash = parts.store.fact('commitHash') ?? new Uint8Array(0);
    const resume = resumePoint(this.#block(this.#height - 1));
    this.#lastHash = resume.hash;
    this.#lastConfig = resume.lastConfig;
    this.#view = this.#configIn(this.#lastConfig);
  }

  get view(): ChannelView {
    return this.#view;
  }

  /** Number of blocks. */
  get height(): number {
    return this.#height;
  }

  get lastHash(): Uint8Array {
    return this.#lastHash;
  }

  #block(number: number): Uint8Array {
    const bytes = this.store.head.block(number);
    if (bytes === undefined) throw corrupt(this.store, `Block ${number} is missing.`);
    return bytes;
  }

  #configIn(number: number): ChannelView {
    const envelope = Block.decode(this.#block(number)).data?.data[0];
    const config = envelope === undefined ? undefined : ConfigEnvelope.decode(readEnvelope(envelope).data).config;
    if (config === undefined) throw corrupt(this.store, `Block ${number} should hold a configuration.`);
    return viewOf(config);
  }

  /** The committed definition of a contract at the head. */
  definition(name: string): Definition | undefined {
    if (!this.#definitions.has(name)) this.#definitions.set(name, readDefinition(this.store.head, name));
    return this.#definitions.get(name);
  }

  /**
   * Queues a transaction; resolves when the block that holds it is durable. Rejects with LEDGER_DISK_FULL when it was not
   * written, with LEDGER_OUTCOME_UNKNOWN when only a restart can tell, and with LEDGER_STORAGE from then on.
   */
  submit(prepared: Prepared): Promise<CommittedTransaction> {
    if (this.#closed) return Promise.reject(new CodedError('LEDGER_CLOSED', 'The ledger is closing.', { next: 'Try again when it runs.' }));
    const halted = this.store.halted();
    if (halted !== undefined) return Promise.reject(halted);
    return new Promise((resolve, reject) => {
      this.#queue.push({ prepared, resolve, reject });
      this.traffic.arrived(prepared.txId);
      if (this.#busy) return;
      this.#busy = true;
      this.#running = this.#run();
    });
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      await this.traffic.settle(() => this.#queue.length, this.#parts.scheduler);
      const waiting = this.#cut();
      if (this.#planted.has('early-acknowledgement')) {
        for (const { resolve } of waiting) resolve({ code: validationCode.VALID, block: this.#height });
        await this.#parts.scheduler.sleep(1);
      }
      try {
        this.#commit(waiting);
      } catch (error) {
        this.#parts.log('error', 'ledger.block.failed', { channel: this.name, transactions: waiting.length, code: error instanceof CodedError ? error.code : 'INTERNAL' });
        this.#refuse(waiting, error);
      }
    }
    // In the same step as the look at the queue: a transaction that comes now starts the next run.
    this.#busy = false;
  }

  /** Of a channel that halted while it wrote these, nobody can say whether the block reached the disk. */
  #refuse(waiting: readonly Waiting[], error: unknown): void {
    const halted = this.store.halted();
    if (halted !== undefined) {
      this.#parts.log('error', 'ledger.channel.halted', { channel: this.name, height: this.#height, code: halted.code });
      for (const watcher of this.#watchers) watcher();
    }
    for (const { prepared: { txId }, reject } of waiting) {
      reject(halted === undefined ? error : new CodedError('LEDGER_OUTCOME_UNKNOWN', 'The block with the transaction was being written when the disk failed.', { why: 'What the disk holds is not known.', next: 'When the ledger runs again, ask for the status of the transaction before sending it again.', channel: this.name, txId }, { cause: error }));
    }
  }

  /** The next block's transactions: a configuration alone, otherwise as many as fit. */
  #cut(): Waiting[] {
    let bytes = 0;
    let count = 0;
    if (this.#planted.has('client-time-order')) sortByClientTime(this.#queue);
    for (const { prepared } of this.#queue) {
      if (prepared.type === headerType.config && prepared.code === validationCode.VALID) {
        if (count === 0) count = 1;
        break;
      }
      bytes += prepared.bytes.length;
      if (count > 0 && (bytes > MAX_BYTES || count === MAX_TRANSACTIONS)) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  /** Without a pause: between reading the head and writing the block nothing else may run. */
  #commit(waiting: readonly Waiting[]): void {
    const number = this.#height;
    const transactions = waiting.map(({ prepared }) => prepared);
    const isConfig = transactions[0]?.type === headerType.config && transactions[0].code === validationCode.VALID;
    // A configuration that does not follow from the one in force is refused before it becomes a block, as Fabric's orderer does.
    if (isConfig) checkConfigTransaction(this.#view, transactions[0]?.bytes ?? new Uint8Array(0), this.name);
    const ordered = orderBlock({ number, previousHash: this.#lastHash, lastConfig: isConfig ? number : this.#lastConfig }, transactions.map((prepared) => prepared.bytes), this.#parts);
    if (this.#planted.has('late-revocation')) this.#view = this.#configIn(this.#lastConfig);
    const verdicts = isConfig ? { codes: [validationCode.VALID], batch: newBatch() } : this.#judge(transactions, number);
    this.#append(ordered, transactions, verdicts);
    if (isConfig) {
      if (!this.#planted.has('late-revocation')) this.#view = this.#configIn(number);
      this.#lastConfig = number;
    }
    if (verdicts.batch.state.has(LIFECYCLE)) this.#definitions.clear();
    waiting.forEach(({ resolve }, index) => resolve(this.#outcome(transactions[index] as Prepared, verdicts.codes[index] as ValidationCode, number)));
    for (const watcher of this.#watchers) watcher();
    this.#parts.log('debug', 'ledger.block.committed', { channel: this.name, block: number, transactions: transactions.length, invalid: verdicts.codes.filter((code) => code !== validationCode.VALID).length });
  }

  #judge(transactions: readonly Prepared[], number: number): Verdicts {
    const { head } = this.store;
    const judged = this.#planted.has('no-read-check') ? transactions.map(withoutReads) : transactions;
    return judgeBlock(judged, {
      number, view: this.#view, reader: this.#planted.has('no-duplicate-check') ? { ...head, transaction: () => undefined } : head, definition: (name) => this.definition(name), privateSet: (txId): TxPvtReadWriteSet | undefined => this.memo.privateSet(txId),
    });
  }

  #append(ordered: OrderedBlock, transactions: readonly Prepared[], { codes, batch }: Verdicts): void {
    let commitHash = nextCommitHash(this.#commitHash, new Uint8Array(codes), batch, nativeHash);
    if (this.#planted.has('map-order')) commitHash = unorderedCommitHash(commitHash, batch, nativeHash);
    const lifetimes = new Map<string, number>();
    for (const [namespace, collections] of batch.hashes) {
      for (const collection of collections.keys()) {
        const life = this.definition(namespace)?.collections.get(collection)?.blockToLive ?? 0;
        if (life > 0) lifetimes.set(`${namespace}\0${collection}`, life);
      }
    }
    this.store.append({
      number: ordered.header.number, hash: ordered.hash, bytes: sealBlock(ordered, codes, commitHash), commitHash, batch, lifetimes,
      transactions: transactions.map(({ txId }, index) => ({ txId, code: codes[index] as number })),
    });
    this.#commitHash = commitHash;
    this.#lastHash = ordered.hash;
    this.#height = ordered.header.number + 1;
    for (const { txId } of transactions) this.memo.forget(txId);
  }

  /** A duplicate is reported as its first occurrence was: the client asks about its transaction, not about an envelope. */
  #outcome(prepared: Prepared, code: ValidationCode, block: number): CommittedTransaction {
    if (code !== validationCode.DUPLICATE_TXID) return { code, block };
    const first = this.store.head.transaction(prepared.txId);
    return first === undefined ? { code, block } : { code: first.code as ValidationCode, block: first.block };
  }

  /** Calls back after every block, until the returned function is called. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Waits for what is queued, then closes the file. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    for (const watcher of this.#watchers) watcher();
    this.store.close();
  }

  get closed(): boolean {
    return this.#closed;
  }
}

function corrupt({ channel, file }: ChannelStore, why: string): CodedError {
  return new CodedError('LEDGER_CORRUPT', `The state file of channel ${channel} is damaged.`, { why, next: `Restore ${file} from a copy.`, channel, file });
}

function resumePoint(bytes: Uint8Array): { readonly hash: Uint8Array; readonly lastConfig: number } {
  const block = Block.decode(bytes);
  if (block.header === undefined) throw new CodedError('LEDGER_MALFORMED', 'The last block has no header.');
  const slot = block.metadata?.metadata[metadataSlot.lastConfig] ?? new Uint8Array(0);
  return { hash: headerHash(block.header, nativeHash), lastConfig: LastConfig.decode(Metadata.decode(slot).value).index };
}
