/**
 * The embedded ledger: channels, peers, ordering and validation of Fabric transactions in one process. One operator runs
 * it, so its honesty rests on what everyone can check: signatures, the hash chain, and checkpoints others keep.
 * Page: docs/ledger.md.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { utf8 } from '#base/bytes.ts';
import { canonicalJson } from '#base/canonical-json.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Clock, Log, Random, Scheduler } from '#base/ports.ts';
import { codeName, validationCode } from '../codes.ts';
import { ChannelHeader, Envelope, headerType, Payload, SignatureHeader } from '../protos/common.ts';
import { ConfigEnvelope, mspRole } from '../protos/config.ts';
import type { ChainFacts, CrlChange } from '../admin.ts';
import type { LedgerSigner } from '../client.ts';
import type { Chaincode } from '../stub.ts';
import type { Of } from '../wire.ts';
import { assembleTransaction, newProposal, readProposal, timestampOf, transactionId } from '../transaction.ts';
import type { GatewayTransport } from '../transport.ts';
import { genesisBlock, sealBlock } from './block-builder.ts';
import { Channel, type CommittedTransaction } from './channel.ts';
import { checkChain, replayChain, type ReplayFacts } from './chain-check.ts';
import { channelRoot, type ChannelRoot } from './channel-root.ts';
import { checkChannelConfig, memberOf, type ChannelConfig, type ChannelView } from './channel-config.ts';
import { isChannelFile } from './channel-file.ts';
import { openChannelStore, type ChannelStore } from './channel-store.ts';
import { lockFolder } from './folder-lock.ts';
import { memberChange, removalChange, revocationChange, type ConfigSets, type NewMember } from './config-change.ts';
import { applyUpdate, signUpdate } from './config-update.ts';
import { agree, endorse, simulate } from './endorser.ts';
import { makeFolder, syncFolder } from './folder-sync.ts';
import { createGateway } from './gateway.ts';
import { beganWith, genesisConfig } from './genesis.ts';
import { nativeHash } from './hash.ts';
import type { ChannelHealth } from './health.ts';
import { missChannels, noteChannel } from './inventory.ts';
import { commitCall, definitionArgs, LIFECYCLE, sameDefinition, type CollectionSpec } from './lifecycle.ts';
import { createPeer, type Peer } from './peer.ts';
import { noBugs, type PlantedBugs } from './planted.ts';
import { prepare } from './prepared.ts';
import { folderError } from './store-error.ts';
import { newBatch, nextCommitHash } from './update-batch.ts';

export interface OrdererParts {
  readonly mspId: string;
  /** PEM. */
  readonly certificate: string;
  readonly privateKeyPkcs8: Uint8Array;
  /** PEM of the authority that issued the certificate. */
  readonly rootCertificate: string;
}

export interface EmbeddedLedgerOptions {
  /** Where the channel files live; `:memory:` is a temporary folder that goes when the ledger closes. */
  readonly folder: string;
  readonly orderer: OrdererParts;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** Upper bound of each channel's file; beyond it transactions are refused with LEDGER_DISK_FULL and reading goes on. */
  readonly maxBytesPerChannel?: number;
  /** Pages of a channel's write-ahead log before it is folded into its file. */
  readonly checkpointPages?: number;
  /** Bugs on purpose, for tests of the tests only. */
  readonly planted?: PlantedBugs;
}

export interface PeerParts {
  readonly mspId: string;
  /** PEM, organisational unit `peer`. */
  readonly certificate: string;
  readonly privateKeyPkcs8: Uint8Array;
  readonly channels: readonly string[];
}

export interface Deployment {
  readonly channel: string;
  readonly name: string;
  readonly chaincode: Chaincode;
  /** Endorsements needed, of the channel's peer organisations. */
  readonly needed: number;
  /** Changes when the contract changes incompatibly; default `1.0`. */
  readonly version?: string;
  readonly collections?: readonly CollectionSpec[];
}

export interface EmbeddedLedger {
  /** Creates the channel, or opens it when it is there with the same first configuration. Throws LEDGER_CHANNEL_INVALID, LEDGER_CHANNEL_EXISTS, LEDGER_CORRUPT. */
  createChannel(config: ChannelConfig): Promise<void>;
  /** Gives the ledger an organisation's peer key, to endorse with on the channels. Throws LEDGER_ACCESS_DENIED. */
  attachPeer(peer: PeerParts): Promise<void>;
  /** Attaches a contract's program and commits its definition if that is new or changed. Peers come first. Throws LEDGER_DEPLOY_REFUSED. */
  deploy(deployment: Deployment): Promise<void>;
  /** Puts an organisation's revocation list into the channel's configuration, signed by its operator (unit `admin`). Throws LEDGER_CONFIG_REFUSED. */
  updateCrl(change: CrlChange): Promise<void>;
  /** Adds an organisation to a channel, signed by operators of most members. Throws LEDGER_CONFIG_REFUSED. */
  addOrganisation(change: MemberChange): Promise<void>;
  /** Takes an organisation out of a channel, signed as above; its messages are refused from that block on. Throws LEDGER_CONFIG_REFUSED. */
  removeOrganisation(change: { readonly channel: string; readonly mspId: string; readonly signers: readonly LedgerSigner[] }): Promise<void>;
  transport(): GatewayTransport;
  channels(): readonly string[];
  /** Number of blocks. Throws LEDGER_CHANNEL_UNKNOWN. */
  height(channel: string): number;
  /** Which channels take blocks, and why the others do not. */
  health(): readonly ChannelHealth[];
  /** Checks numbers, links, hashes, orderer signatures and configurations of the whole chain. Throws LEDGER_CHAIN_BROKEN naming the first bad block. */
  verifyChain(channel: string): Promise<ChainFacts>;
  /** Roots of the channel's state as its tables hold it (docs/moving.md); `leaveOut` names keys about the move itself. */
  stateRoot(channel: string, leaveOut?: (key: string) => boolean): Promise<ChannelRoot>;
  /** Judges every transaction again from block 0 and compares verdicts and state. Throws LEDGER_CHAIN_BROKEN, LEDGER_STATE_DIFFERS. */
  replay(channel: string): Promise<ReplayFacts>;
  close(): Promise<void>;
}

export interface MemberChange extends NewMember {
  readonly channel: string;
  readonly signers: readonly LedgerSigner[];
}

const FIRST_CONFIG = 'firstConfig';

/** Opens the ledger over its folder. Throws LEDGER_CORRUPT, LEDGER_MISSING, LEDGER_IN_USE, LEDGER_STORAGE. */
export async function openEmbeddedLedger(options: EmbeddedLedgerOptions): Promise<EmbeddedLedger> {
  const temporary = options.folder === ':memory:';
  const folder = temporary ? mkdtempSync(join(tmpdir(), 'healthkeep-ledger-')) : options.folder;
  const planted = options.planted ?? noBugs;
  makeFolder(folder, planted.has('no-folder-sync') ? () => undefined : syncFolder);
  const unlock = lockFolder(folder);
  let closed = false;
  const engine = new Engine(options, folder, !temporary);
  try {
    engine.openExisting();
  } catch (error) {
    await engine.close();
    unlock();
    throw folderError(error, folder);
  }
  return {
    createChannel: async (config) => engine.createChannel(config),
    attachPeer: async (peer) => engine.attachPeer(peer),
    deploy: (deployment) => engine.deploy(deployment),
    updateCrl: ({ channel, mspId, crl, signer }) => engine.changeConfig(channel, [signer], (view) => revocationChange(view, mspId, crl)),
    addOrganisation: ({ channel, signers, ...member }) => engine.changeConfig(channel, signers, (view) => memberChange(view, member)),
    removeOrganisation: ({ channel, signers, mspId }) => engine.removeOrganisation(channel, signers, mspId),
    transport: () => engine.gateway,
    channels: () => [...engine.channels.keys()].sort(),
    height: (name) => engine.require(name).height,
    health: () => [...engine.channels.values()].map(({ name, height, store }) => ({ channel: name, height, trouble: store.trouble() })),
    verifyChain: async (name) => (planted.has('no-chain-check') ? { blocks: engine.require(name).height, transactions: 0, lastHash: '' } : checkChain(engine.require(name).store)),
    stateRoot: (name, leaveOut) => channelRoot(engine.require(name).store, leaveOut),
    replay: (name) => engine.replay(name),
    close: async () => {
      if (closed) return;
      closed = true;
      await engine.close();
      unlock();
      if (temporary) rmSync(folder, { recursive: true, force: true });
    },
  };
}

class Engine {
  readonly channels = new Map<string, Channel>();
  readonly gateway: GatewayTransport;
  readonly #options: EmbeddedLedgerOptions;
  readonly #folder: string;
  readonly #durable: boolean;
  readonly #planted: PlantedBugs;
  readonly #orderer: Peer;

  constructor(options: EmbeddedLedgerOptions, folder: string, durable: boolean) {
    this.#options = options;
    this.#folder = folder;
    this.#durable = durable;
    this.#planted = options.planted ?? noBugs;
    this.#orderer = createPeer(options.orderer);
    this.gateway = createGateway({ channelOf: (name) => this.channels.get(name), updateConfig: (channel, update) => this.#commitUpdate(channel, update), clock: options.clock });
  }

  require(name: string): Channel {
    const channel = this.channels.get(name);
    if (channel === undefined) throw new CodedError('LEDGER_CHANNEL_UNKNOWN', `There is no channel ${name} on this ledger.`, { next: 'Check the name of the channel and the folder of the ledger.', channel: name });
    return channel;
  }

  openExisting(): void {
    missChannels(this.#folder);
    for (const file of readdirSync(this.#folder)) {
      if (file.endsWith('.sqlite') && isChannelFile(join(this.#folder, file))) this.#startOrClose(this.#openStore(file.slice(0, -'.sqlite'.length)));
    }
  }

  #openStore(channel: string): ChannelStore {
    const { maxBytesPerChannel: maxBytes, checkpointPages } = this.#options;
    return openChannelStore({ channel, file: join(this.#folder, `${channel}.sqlite`), durable: this.#durable, planted: this.#planted, ...(maxBytes === undefined ? {} : { maxBytes }), ...(checkpointPages === undefined ? {} : { checkpointPages }) });
  }

  #startOrClose(store: ChannelStore): void {
    try {
      this.#start(store);
    } catch (error) {
      store.close();
      throw error;
    }
  }

  #start(store: ChannelStore): void {
    if (store.head.height() === 0) return store.close();
    noteChannel(this.#folder, store.channel, this.#planted.has('no-folder-sync') ? () => undefined : syncFolder);
    const { random, log, scheduler } = this.#options;
    this.channels.set(store.channel, new Channel({ store, orderer: this.#orderer, random, log, scheduler, planted: this.#planted }));
  }

  createChannel(config: ChannelConfig): void {
    checkChannelConfig(config);
    const text = utf8(canonicalJson({ ...config, orgs: config.orgs.map((org) => ({ ...org })) }));
    const existing = this.channels.get(config.name);
    if (existing !== undefined) return this.#sameAsFirst(existing.store, config, text);
    const store = this.#openStore(config.name);
    try {
      // Block 0 may be there from an attempt that failed after it.
      if (store.head.height() > 0) this.#sameAsFirst(store, config, text);
      else this.#appendGenesis(store, config, text);
    } catch (error) {
      store.close();
      throw error;
    }
    this.#startOrClose(store);
  }

  #sameAsFirst(store: ChannelStore, config: ChannelConfig, text: Uint8Array): void {
    const first = store.fact(FIRST_CONFIG);
    // A channel that was rebuilt from its blocks has no such note; its first block says the same.
    if (first === undefined ? beganWith(store.head.block(0), config, this.#options.orderer) : Buffer.compare(first, text) === 0) return;
    throw new CodedError('LEDGER_CHANNEL_EXISTS', `The channel ${store.channel} exists with another configuration.`, { why: 'A channel is created once; later changes are configuration blocks.', next: 'Use the first configuration, or another name.', channel: store.channel });
  }

  #appendGenesis(store: ChannelStore, config: ChannelConfig, text: Uint8Array): void {
    const ordered = genesisBlock(Envelope.encode({ payload: this.#configPayload(config.name, { config: genesisConfig(config, this.#options.orderer), lastUpdate: undefined }) }));
    const commitHash = nextCommitHash(new Uint8Array(0), new Uint8Array([validationCode.VALID]), newBatch(), nativeHash);
    store.append({ number: 0, hash: ordered.hash, bytes: sealBlock(ordered, [validationCode.VALID], commitHash), commitHash, transactions: [], batch: newBatch(), lifetimes: new Map(), facts: new Map([[FIRST_CONFIG, text]]) });
  }

  #configPayload(channelId: string, envelope: Of<typeof ConfigEnvelope>): Uint8Array {
    const nonce = this.#options.random.bytes(24);
    const channelHeader = ChannelHeader.encode({ type: headerType.config, version: 1, timestamp: timestampOf(this.#options.clock.now()), channelId, txId: transactionId(nonce, this.#orderer.serialised) });
    const header = { channelHeader, signatureHeader: SignatureHeader.encode({ creator: this.#orderer.serialised, nonce }) };
    return Payload.encode({ header, data: ConfigEnvelope.encode(envelope) });
  }

  /** Signs, orders and commits a change. Somebody else's change in between means: once more, on the newer configuration. */
  async changeConfig(name: string, signers: readonly LedgerSigner[], change: (view: ChannelView) => ConfigSets | undefined): Promise<void> {
    const channel = this.require(name);
    const { clock, random } = this.#options;
    for (;;) {
      const { view } = channel;
      const sets = change(view);
      if (sets === undefined) return;
      const update = await signUpdate({ ...sets, channel: name, signers, now: clock.now(), random });
      try {
        await this.#commitUpdate(channel, update);
        return;
      } catch (error) {
        if (!isCoded(error, 'LEDGER_CONFIG_REFUSED') || channel.view === view) throw error;
      }
    }
  }

  /** What an orderer does with a signed update: the configuration it makes, in a transaction of the orderer's. Throws LEDGER_CONFIG_REFUSED. */
  async #commitUpdate(channel: Channel, update: Uint8Array): Promise<CommittedTransaction> {
    const { name, view } = channel;
    const payload = this.#configPayload(name, { config: applyUpdate(view, update, name), lastUpdate: Envelope.decode(update) });
    const bytes = Envelope.encode({ payload, signature: await this.#orderer.sign(payload) });
    return channel.submit(await prepare(bytes, { channel: name, view, known: channel.memo }));
  }

  /** Its peer endorses no more, whatever key this process still holds. */
  async removeOrganisation(name: string, signers: readonly LedgerSigner[], mspId: string): Promise<void> {
    await this.changeConfig(name, signers, (view) => removalChange(view, mspId));
    this.require(name).peers.delete(mspId);
  }

  attachPeer({ channels, ...parts }: PeerParts): void {
    const peer = createPeer(parts);
    for (const name of channels) {
      const channel = this.require(name);
      if (!memberOf(channel.view, peer.serialised).roles.has(mspRole.peer)) throw new CodedError('LEDGER_ACCESS_DENIED', 'The certificate is not that of a peer.', { next: 'Issue one with the organisational unit peer.', channel: name });
      channel.peers.set(peer.mspId, peer);
    }
  }

  async deploy(deployment: Deployment): Promise<void> {
    const channel = this.require(deployment.channel);
    channel.contracts.set(deployment.name, deployment.chaincode);
    const before = channel.definition(deployment.name);
    const args = definitionArgs({
      name: deployment.name, sequence: (before?.sequence ?? 0) + 1, version: deployment.version ?? '1.0', needed: deployment.needed, peers: channel.view.peers, collections: deployment.collections ?? [],
    });
    if (!sameDefinition(channel.store.head, deployment.name, args)) await this.#commitDefinition(channel, args);
  }

  /** A transaction like any other, called and endorsed by the peers here. */
  async #commitDefinition(channel: Channel, args: Uint8Array): Promise<void> {
    const refuse = (why: string): CodedError => new CodedError('LEDGER_DEPLOY_REFUSED', `The contract cannot be defined on channel ${channel.name}.`, { why, next: 'Attach the peers of most organisations of the channel first.', channel: channel.name });
    const peers = [...channel.peers.values()];
    const [caller] = peers;
    if (caller === undefined) throw refuse('No peer is attached.');
    const { clock, random } = this.#options;
    const proposal = readProposal(newProposal({ channel: channel.name, contract: LIFECYCLE, args: commitCall(args), creator: caller.serialised, nonce: random.bytes(24), timestamp: clock.now() }).bytes);
    const responses = await Promise.all(peers.map((peer) => simulate({ channel, proposal, mspId: peer.mspId, channelOf: (name) => this.channels.get(name) })));
    const [first] = responses;
    if (first === undefined || first.payload.length === 0 || !agree(responses)) throw refuse(first?.response.message ?? 'The peers disagree.');
    const endorsements = await Promise.all(peers.map((peer) => endorse(peer, first.payload)));
    const payload = assembleTransaction(proposal, first.payload, endorsements);
    const bytes = Envelope.encode({ payload, signature: await caller.sign(payload) });
    const { code } = await channel.submit(await prepare(bytes, { channel: channel.name, view: channel.view, known: channel.memo }));
    if (code !== validationCode.VALID) throw refuse(`The definition was judged ${codeName(code)}.`);
  }

  async replay(name: string): Promise<ReplayFacts> {
    const channel = this.require(name);
    const scratch = mkdtempSync(join(tmpdir(), 'healthkeep-replay-'));
    try {
      return await replayChain(channel.store, join(scratch, `${name}.sqlite`));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.channels.values()].map((channel) => channel.close()));
    this.channels.clear();
  }
}
