/**
 * Members of one channel, an operator that may tell two histories, and one member that signs whatever it is shown: in steps of
 * a virtual clock, with partitions and lost messages. Memory, comparison, evidence and quorum are the members' own code
 * (org/witness/); only their trees are held in memory instead of being followed from blocks.
 */
import { utf8, type Bytes } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import { silentLog } from '#base/ports.ts';
import { keepSignatures, mergeNotes, noteSigners, parseCheckpoint, signNote, writeCheckpoint, type Checkpoint } from '#crypto/checkpoint.ts';
import { sha256 } from '#crypto/digest.ts';
import { generateSigningKey, signLowS } from '#crypto/keys.ts';
import { appendLeaf, consistencyPath, leafHash, memoryNodes, rootAt, type MerkleNodes } from '#crypto/merkle.ts';
import { createAuthority } from '#crypto/x509.ts';
import { memoryStore } from '#device/memory-store.test-kit.ts';
import type { Member } from '#model/con.ts';
import type { ForkEvidence } from '#model/fork.ts';
import { OrgId } from '#model/ids.ts';
import { CON } from '#model/orgs.ts';
import { witnessQuorum } from '#model/rules/con.ts';
import { createForks, type Forks } from '#org/witness/forks.ts';
import { createHeads, type Heads } from '#org/witness/heads.ts';
import { createNotes, type Notes } from '#org/witness/notes.ts';
import type { Witness } from '#org/witness/witness.ts';
import { fakeClock, type SettableClock } from './seams.ts';

const START = Date.UTC(2026, 10, 20, 12);
export const ORGS = ['UO-people', 'HO-east', 'HO-west', 'HO-north', 'DUO-lab', 'DUO-care', 'DUO-liar'].map((org) => OrgId.parse(org));
export const LIAR = OrgId.parse('DUO-liar');

export interface Signatory {
  readonly org: OrgId;
  readonly certificate: string;
  readonly rootCertificate: string;
  readonly sign: (message: Uint8Array) => Promise<Bytes>;
}

export async function makeSignatories(): Promise<readonly Signatory[]> {
  return Promise.all(
    ORGS.map(async (org) => {
      const ca = await createAuthority({ org, commonName: `${org} root`, clock: { now: () => START } });
      const keys = await generateSigningKey();
      const certificate = await ca.issue({ commonName: 'peer0', organizationalUnit: 'peer', attributes: {}, publicKey: keys.publicKey, notBefore: START, days: 365 });
      return { org, certificate, rootCertificate: ca.certificate, sign: (message: Uint8Array) => signLowS(keys.privateKey, message) };
    }),
  );
}

/** One history of the channel: a tree and the chain of block hashes. */
class History {
  readonly #nodes: MerkleNodes = memoryNodes();
  readonly #blocks: { readonly hash: Bytes; readonly size: number }[] = [];
  readonly #leaves: Bytes[] = [];
  readonly name: string;

  constructor(name: string, from?: History) {
    this.name = name;
    if (from === undefined) return;
    for (const leaf of from.#leaves) this.#append(leaf);
    this.#blocks.push(...from.#blocks);
  }

  get height(): number {
    return this.#blocks.length;
  }

  grow(leaves: number): void {
    for (let at = 0; at < leaves; at++) this.#append(leafHash(utf8(`${this.name} ${this.#leaves.length}`)));
    this.#blocks.push({ hash: sha256(utf8(`${this.name} block ${this.height}`)), size: this.#leaves.length });
  }

  at(height: number): Checkpoint {
    const { hash, size } = this.#blocks[height - 1] as { hash: Bytes; size: number };
    return { origin: 'healthkeep/con', size, root: rootAt(this.#nodes, size), height, blockHash: hash };
  }

  beginning(from: number, to: number) {
    return { root: rootAt(this.#nodes, from), path: consistencyPath(this.#nodes, from, to) };
  }

  #append(leaf: Bytes): void {
    appendLeaf(this.#nodes, this.#leaves.length, leaf);
    this.#leaves.push(leaf);
  }
}

interface Watcher extends Signatory {
  history: History;
  height: number;
  readonly witness: Witness;
  readonly heads: Heads;
  readonly forks: Forks;
  readonly notes: Notes;
}

export interface Gossip {
  step(): Promise<void>;
  /** Some rounds without loss: everybody publishes, and everybody meets everybody. */
  heal(rounds: number): Promise<void>;
  /** Has the operator told two histories, and has the liar signed both? */
  forked(): boolean;
  evidence(): Promise<readonly ForkEvidence[]>;
  genesis(): string;
  readonly quorums: { notes: number; heights: number };
}

/** Plays one episode. Throws when two blocks of one height both have a quorum. */
export function playGossip(options: { readonly signatories: readonly Signatory[]; readonly chance: (below: number) => number; readonly quorum?: number }): Gossip {
  const { signatories, chance } = options;
  const clock: SettableClock = fakeClock(START);
  const members = signatories.map(({ org, rootCertificate }) => ({ org, name: org, url: '', hpkePublicKey: '', rootCertificate })) as unknown as readonly Member[];
  const quorum = options.quorum ?? witnessQuorum(members.length);
  const first = new History('one');
  first.grow(1);
  let second: History | undefined;
  const apart = new Set<string>();
  const certified = new Map<number, string>();
  const quorums = { notes: 0, heights: 0 };
  let healed = false;
  const reaches = (one: OrgId, other: OrgId): boolean => healed || (!apart.has([one, other].sort().join()) && chance(10) > 0);
  const watchers: Watcher[] = signatories.map((signatory) => makeWatcher(signatory));
  const of = (org: OrgId): Watcher => watchers.find((one) => one.org === org) as Watcher;

  function makeWatcher(signatory: Signatory): Watcher {
    const store = memoryStore();
    const forks = createForks({ store, members: () => members, log: silentLog });
    const heads = createHeads({ store, forks });
    const self = { ...signatory, history: first, height: 1, heads, forks } as Watcher;
    const witness = treeOf(self);
    const askBeginning = async (org: OrgId, { from, to }: { readonly from: number; readonly to: number }) => {
      if (org === LIAR || !reaches(signatory.org, org)) throw new CodedError('ORG_UNREACHABLE', 'Not reached.');
      return of(org).witness.beginning(from, to);
    };
    const notes = createNotes({ org: signatory.org, store, members: () => members, witnesses: signatory.org === LIAR ? [] : [witness], heads, forks, clock, askBeginning });
    return Object.assign(self, { witness, notes });
  }

  /** Whoever hands a note over also sees what it got back. */
  const certify = async (note: string): Promise<void> => {
    const { trees, growth } = await noteSigners(note, members.map(({ org, rootCertificate }) => ({ name: org, rootCertificate })), clock.now());
    if (trees.length + growth.length < quorum) return;
    const { height, blockHash } = parseCheckpoint(note);
    const hash = Buffer.from(blockHash).toString('hex');
    quorums.notes += 1;
    if (certified.has(height) && certified.get(height) !== hash) throw new Error(`two blocks of height ${height} both have a quorum`);
    certified.set(height, hash);
    quorums.heights = certified.size;
  };
  const publish = async (watcher: Watcher): Promise<void> => {
    const note = watcher.org === LIAR ? await lie(watcher, writeCheckpoint(watcher.history.at(watcher.history.height))) : await watcher.witness.checkpoint();
    let merged = note;
    for (const other of watchers) {
      if (other === watcher || !reaches(watcher.org, other.org)) continue;
      // The liar tells each member the history that the member was shown.
      if (watcher.org === LIAR && other.history !== watcher.history) continue;
      const signed = await cosigned(other, note).catch(refused);
      if (signed !== undefined) merged = mergeNotes(merged, keepSignatures(signed, [other.org]));
    }
    await watcher.notes.take(merged);
    await certify(merged);
  };
  const cosigned = async (other: Watcher, note: string): Promise<string> => {
    if (other.org === LIAR) return lie(other, note);
    await other.notes.take(note);
    return other.witness.cosign(note);
  };
  const lie = (liar: Watcher, note: string): Promise<string> => signNote(note, { name: liar.org, certificate: liar.certificate, sign: liar.sign });
  const meet = async (one: Watcher, other: Watcher): Promise<void> => {
    if (one === other || !reaches(one.org, other.org)) return;
    for (const note of await one.notes.toPass()) await other.notes.take(note);
    for (const note of await other.notes.toPass()) await one.notes.take(note);
  };
  const any = (): Watcher => watchers[chance(watchers.length)] as Watcher;
  const follow = (watcher: Watcher): void => {
    watcher.height = Math.min(watcher.history.height, watcher.height + 1 + chance(20));
  };
  const fork = (): void => {
    second = new History('two', first);
    for (const watcher of watchers) if (chance(2) === 0) watcher.history = second;
    of(LIAR).history = chance(2) === 0 ? first : second;
    // What was the same so far stays so: only what comes now is told in two ways.
    for (const history of [first, second]) history.grow(1);
  };

  return {
    quorums,
    forked: () => second !== undefined && new Set(watchers.filter(({ org }) => org !== LIAR).map(({ history }) => history)).size === 2,
    genesis: () => JSON.stringify({ kind: 'healthkeep-genesis', version: 1, members: members.map(({ org, rootCertificate }) => ({ org, rootCertificate })) }),
    async step() {
      clock.advance(100 + chance(2_000));
      const kind = chance(1_000);
      // Both histories grow block by block together: one height, two blocks.
      if (kind < 700) for (const history of second === undefined ? [first] : [first, second]) history.grow(chance(4));
      else if (kind < 900) follow(any());
      else if (kind < 925) await publish(any());
      else if (kind < 960) await meet(any(), any());
      else if (kind < 985) apart.add([any().org, any().org].sort().join());
      else if (kind < 997) apart.clear();
      else if (second === undefined && chance(2) === 0) fork();
    },
    async heal(rounds) {
      healed = true;
      for (let round = 0; round < rounds; round++) {
        for (const watcher of watchers) {
          watcher.height = watcher.history.height;
          await publish(watcher);
        }
        for (const one of watchers) for (const other of watchers) if (one.org < other.org) await meet(one, other);
        // The liar serves both sides, each its own history.
        const liar = of(LIAR);
        if (second !== undefined) liar.history = liar.history === first ? second : first;
      }
    },
    async evidence() {
      return (await Promise.all(watchers.filter(({ org }) => org !== LIAR).map(({ forks }) => forks.list()))).flat();
    },
  };
}

function refused(error: unknown): undefined {
  if (isCoded(error)) return undefined;
  throw error;
}

/** A member's tree of the history it was shown, as `createWitness` keeps it. */
function treeOf(self: Watcher): Witness {
  const sign = (note: string): Promise<string> => signNote(note, { name: self.org, certificate: self.certificate, sign: self.sign });
  const agrees = (checkpoint: Checkpoint): 'yes' | 'no' | 'unknown' => (checkpoint.height > self.height ? 'unknown' : writeCheckpoint(checkpoint) === writeCheckpoint(self.history.at(checkpoint.height)) ? 'yes' : 'no');
  const beginning = (from: number, to: number) => {
    if (to > self.history.at(self.height).size) throw new CodedError('TREE_RANGE', 'The tree has no such leaf or size.');
    return self.history.beginning(from, to);
  };
  const checkpoint = (): Promise<string> => {
    const own = self.history.at(self.height);
    return self.heads.advance(writeCheckpoint(own), { beginningFrom: (from) => (from > own.size ? undefined : beginning(from, own.size)), sign });
  };
  const part: Partial<Witness> = {
    channel: CON,
    agrees,
    beginning,
    checkpoint,
    async checkpointAt(height) {
      if (height > self.height) return undefined;
      await checkpoint();
      return sign(writeCheckpoint(self.history.at(height)));
    },
    async cosign(note) {
      if (agrees(parseCheckpoint(note)) !== 'yes') throw new CodedError('CHECKPOINT_FORKED', 'Another history.');
      await checkpoint();
      return sign(note);
    },
  };
  return part as Witness;
}
