/**
 * What a coalition can read (features 7.4, attack 6): everything its members stored and received is taken apart to byte
 * strings; each of 32 bytes counts as a key; every key is tried on every ciphertext under the protocol's own bindings;
 * what opens is taken apart in turn, until nothing new is found. The attacker knows the protocol and is in no hurry.
 */
import { createDecipheriv } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gunzipSync } from 'node:zlib';
import { utf8, type Bytes } from '#base/bytes.ts';
import { decryptBody } from '#crypto/cobblestone.ts';
import { hkdfSha256 } from '#crypto/digest.ts';
import { openFrom } from '#crypto/hpke.ts';
import { DeliveryId, MailboxHandle, RecordId, SlotTag, type OrgId } from '#model/ids.ts';
import { ReleaseManifest } from '#model/messages.ts';
import { answerBinding, bodyContext, deliveryBinding, invitationBinding, mailboxBinding, recordKeysAad, releaseBinding, rowAad, slotBinding, type HpkeBinding } from '#model/bindings.ts';

/** One value out of a store, a block or a message. */
export interface Piece {
  readonly bytes: Uint8Array;
  /** Name under which a store keeps it. */
  readonly name?: string;
  /** Ledgers and their trees hold public digests by the thousand; these are tried as symmetric keys, not as private ones. */
  readonly digests?: boolean;
}

/** Every cell of every SQLite file below a folder. */
export function piecesOf(folder: string): readonly Piece[] {
  const pieces: Piece[] = [];
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.sqlite')) continue;
    const digests = entry.name === 'tree.sqlite' || entry.parentPath.endsWith('/ledger');
    const db = new DatabaseSync(join(entry.parentPath, entry.name), { readOnly: true });
    for (const { name: table } of db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all() as { name: string }[]) {
      for (const row of db.prepare(`SELECT * FROM "${table}"`).all()) {
        const name = table === 'entry' && row['key'] instanceof Uint8Array ? Buffer.from(row['key']).swap16().toString('utf16le') : undefined;
        for (const cell of Object.values(row)) {
          if (typeof cell === 'string') pieces.push({ bytes: utf8(cell), digests });
          if (cell instanceof Uint8Array) pieces.push({ bytes: cell, digests, ...(name === undefined ? {} : { name }) });
        }
      }
    }
    db.close();
  }
  return pieces;
}

/** A keeper's stored ciphertext, without any of its keys. */
export interface KeeperDump {
  readonly keeper: OrgId;
  readonly records: readonly { readonly id: RecordId; readonly wrappedKeys: Uint8Array; readonly row: Uint8Array; readonly body: Bytes }[];
  readonly deliveries: readonly { readonly id: DeliveryId; readonly keys: readonly Uint8Array[] }[];
}

export function keeperDump(folder: string, keeper: OrgId): KeeperDump {
  const db = new DatabaseSync(join(folder, 'records.sqlite'), { readOnly: true });
  const bodies = new DatabaseSync(join(folder, 'bodies/small.sqlite'), { readOnly: true });
  const bodyOf = bodies.prepare('SELECT bytes FROM body WHERE id = ?');
  const records = db.prepare('SELECT id, keys, row FROM record').all().map((row) => ({ id: RecordId.parse(row['id']), wrappedKeys: row['keys'] as Uint8Array, row: row['row'] as Uint8Array, body: new Uint8Array((bodyOf.get(row['id'] as string) as { bytes: Uint8Array }).bytes) }));
  const deliveries = db.prepare('SELECT id, vault_key, owner_key FROM delivery').all().map((row) => ({ id: DeliveryId.parse(row['id']), keys: [row['vault_key'], row['owner_key']].flatMap((key) => (key instanceof Uint8Array ? [key] : [])) }));
  db.close();
  bodies.close();
  return { keeper, records, deliveries };
}

export interface Found {
  /** Records whose body opened: id → plaintext. */
  readonly readable: ReadonlyMap<string, Uint8Array>;
  /** Everything seen in clear, to look for texts in. */
  saw(text: string): boolean;
  /** Byte strings tried as symmetric keys, and of these also as private keys and body keys. */
  readonly keys: number;
  readonly secrets: number;
  readonly ciphertexts: number;
  readonly opened: number;
}

const KEY_BYTES = 32;
const BRACE = 0x7b;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** A ciphertext and how a key is tried on it. */
interface Target {
  readonly kind: 'symmetric' | 'private' | 'body';
  open(key: Uint8Array): Promise<Uint8Array | undefined> | Uint8Array | undefined;
  /** For bodies: the record. */
  readonly record?: string;
}

function aes(sealed: Uint8Array, aad: Uint8Array): Target {
  return {
    kind: 'symmetric',
    open(key) {
      if (sealed.length < 28) return undefined;
      try {
        const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12));
        decipher.setAuthTag(sealed.subarray(-16));
        decipher.setAAD(aad);
        return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
      } catch {
        return undefined;
      }
    },
  };
}

const hpke = (envelope: Uint8Array, binding: HpkeBinding): Target => ({ kind: 'private', open: (privateKey) => openFrom({ privateKey, ...binding, envelope }).catch(() => undefined) });

/** All 32-byte strings; those that are no public digests also count as private keys and body keys. */
interface Keyring {
  readonly all: Buffer[];
  readonly secret: Buffer[];
}

class Coalition {
  readonly readable = new Map<string, Uint8Array>();
  readonly keys: Keyring = { all: [], secret: [] };
  readonly targets = new Map<string, Target>();
  opened = 0;
  readonly #known = { all: new Set<string>(), secret: new Set<string>() };
  readonly #seen = new Set<string>();
  readonly #clear: Buffer[] = [];
  readonly #tried = new Map<string, number>();

  constructor({ keeper, records, deliveries }: KeeperDump) {
    for (const { id, wrappedKeys, row, body } of records) {
      this.targets.set(`keys ${id}`, aes(wrappedKeys, recordKeysAad(id)));
      this.targets.set(`row ${id}`, aes(row, rowAad(id)));
      this.targets.set(`body ${id}`, { kind: 'body', record: id, open: (key) => decryptBody({ key, context: bodyContext(keeper, id), ciphertext: body }).catch(() => undefined) });
    }
    for (const { id, keys } of deliveries) keys.forEach((key, at) => this.targets.set(`delivery ${id} ${at}`, hpke(key, deliveryBinding(keeper, id))));
  }

  saw(text: string): boolean {
    return this.#clear.some((bytes) => bytes.includes(text));
  }

  /** Takes a byte string apart. */
  learn({ bytes, name, digests = false }: Piece): void {
    if (bytes.length === KEY_BYTES) this.#key(bytes, digests);
    if (bytes.length === 2 * KEY_BYTES) for (const half of [bytes.subarray(0, KEY_BYTES), bytes.subarray(KEY_BYTES)]) this.#key(half, digests);
    if (name !== undefined) this.#stored(name, bytes);
    const print = `${bytes.length} ${hex(bytes.subarray(0, 64))}`;
    if (bytes.length < 22 || this.#seen.has(print)) return;
    this.#seen.add(print);
    const clear = Buffer.from(bytes);
    this.#clear.push(clear);
    if (clear[0] === 0x1f && clear[1] === 0x8b) this.#unzip(clear);
    const text = clear.toString('latin1');
    this.#bound(text);
    for (const [token] of text.matchAll(/[A-Za-z0-9_-]{22,}/g)) this.learn({ bytes: Buffer.from(token, 'base64url'), digests });
    // Signed documents carry their payload as a text within the text.
    for (const line of clear[0] === BRACE ? clear.toString('utf8').split('\n') : []) for (const inner of textsIn(parsed(line))) this.learn({ bytes: utf8(inner), digests });
  }

  #unzip(bytes: Buffer): void {
    try {
      this.learn({ bytes: gunzipSync(bytes) });
    } catch {
      // It only looked like gzip.
    }
  }

  /** A data user's store seals each value under its name; a mailbox keeps messages under its handle. */
  #stored(name: string, bytes: Uint8Array): void {
    this.#target(aes(bytes, utf8(name)), 'stored', bytes);
    const [, handle] = /^mailbox\/message\/([A-Za-z0-9_-]{43})\//.exec(name) ?? [];
    if (handle !== undefined) for (const sealed of sealedIn(Buffer.from(bytes).toString('latin1'))) this.#target(hpke(sealed, mailboxBinding(MailboxHandle.parse(handle))), 'mail', sealed);
  }

  /** Ciphertexts that stand beside what they are bound to: slots with their messages, manifests, index entries. */
  #bound(text: string): void {
    const slots = [...text.matchAll(/"slot":"([A-Za-z0-9_-]{43})"/g)].map(([, tag]) => SlotTag.parse(tag));
    for (const sealed of sealedIn(text)) {
      this.#target(aes(sealed, new Uint8Array(0)), 'bare', sealed);
      for (const slot of new Set(slots)) for (const binding of [slotBinding, invitationBinding, answerBinding]) this.#target(hpke(sealed, binding(slot)), `${binding.name} ${slot}`, sealed);
    }
    if (!text.includes('"kind":"manifest"')) return;
    const manifest = ReleaseManifest.safeParse(parsed(text));
    if (!manifest.success) return;
    const { items, ...release } = manifest.data;
    for (const { id, wrappedKeys } of items) this.#target(hpke(Buffer.from(wrappedKeys, 'base64url'), releaseBinding(release, id)), `released ${release.grant}`, utf8(id));
  }

  #target(target: Target, kind: string, of: Uint8Array): void {
    const name = `${kind} ${hex(of.subarray(0, 40))}`;
    if (!this.targets.has(name)) this.targets.set(name, target);
  }

  #key(bytes: Uint8Array, digests: boolean): void {
    const text = hex(bytes);
    if (!this.#known.all.has(text)) this.keys.all.push(Buffer.from(bytes));
    this.#known.all.add(text);
    if (digests || this.#known.secret.has(text)) return;
    this.#known.secret.add(text);
    this.keys.secret.push(Buffer.from(bytes));
    // A data user's store key grows from its decryption key.
    this.#key(hkdfSha256(bytes, utf8('healthkeep/v1/data-user-store'), KEY_BYTES), true);
  }

  /** Tries every key on every ciphertext that is still closed, each pair once; true when something opened. */
  async round(): Promise<boolean> {
    const fresh: Uint8Array[] = [];
    for (const [name, target] of [...this.targets]) {
      const ring = target.kind === 'symmetric' ? this.keys.all : this.keys.secret;
      const from = this.#tried.get(name) ?? 0;
      this.#tried.set(name, ring.length);
      for (const key of ring.slice(from)) {
        const plaintext = await target.open(key);
        if (plaintext === undefined) continue;
        this.opened++;
        this.#tried.set(name, Number.POSITIVE_INFINITY);
        fresh.push(plaintext);
        if (target.record !== undefined) this.readable.set(target.record, plaintext);
        break;
      }
    }
    for (const bytes of fresh) this.learn({ bytes });
    return fresh.length > 0;
  }
}

const sealedIn = (text: string): readonly Buffer[] => [...text.matchAll(/"sealed":"([A-Za-z0-9_-]{400,})"/g)].map(([, sealed]) => Buffer.from(String(sealed), 'base64url'));

/** Texts inside a JSON value that are JSON themselves. */
function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return value.startsWith('{') ? [value] : [];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A coalition that members join with what they have; each time it says what it can read of a keeper's records by then. */
export function createCoalition(dump: KeeperDump): { join(evidence: readonly Piece[]): Promise<Found> } {
  const known = new Coalition(dump);
  return {
    async join(evidence) {
      for (const piece of evidence) known.learn(piece);
      while (await known.round());
      return { readable: new Map(known.readable), saw: (text) => known.saw(text), keys: known.keys.all.length, secrets: known.keys.secret.length, ciphertexts: known.targets.size, opened: known.opened };
    },
  };
}
