/** What the page of browser.slow.ts runs: a device on IndexedDB whose key never leaves the browser, called from outside by name. */
import { fromBase64url, toBase64url, type Bytes } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { silentLog } from '#base/ports.ts';
import { ownVectors, type Vectors } from '#crypto/own-vectors.test-kit.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { createHttpTransport } from '#ledger/http-transport.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { createDevice, openIndexedDbKeyValueStore, storeConformance } from './browser-entry.test-kit.ts';
import type { Device } from './device.ts';
import type { KeyWrap } from './keys.ts';
import { webLocks } from './store/web-locks.ts';

export interface PageAddresses {
  readonly ledger: string;
  readonly userOrg: string;
}

/** One case that ran in the page; `problem` when it did not hold. */
export interface PageCase {
  readonly name: string;
  readonly problem?: string;
}

/** What a call gave: bytes stand as `{ bytes: base64url }`. */
export type PageAnswer = { readonly value: unknown } | { readonly code: string; readonly message: string };

const DATABASE = 'person';
let device: Device | undefined;

const page = {
  async open({ ledger, userOrg }: PageAddresses): Promise<void> {
    const network = { fetch: (request: Request) => fetch(request), clock: systemClock, random: systemRandom, scheduler: realScheduler };
    device = await createDevice({
      ...network, store: await openIndexedDbKeyValueStore(DATABASE), unlockKey: await browserKey(`${DATABASE}-key`), exclusive: webLocks(DATABASE), log: silentLog, userOrgUrl: userOrg,
      ledger: createLedgerClient({ ...network, transport: createHttpTransport({ baseUrl: ledger, fetch: network.fetch }) }), indexDelay: { minMs: 0, maxMs: 0 }, slotDelayMaxMs: 0,
    });
  },
  async call(name: keyof Device, input: readonly unknown[]): Promise<PageAnswer> {
    try {
      if (device === undefined) throw new Error('no device is open');
      const act = device[name] as (...given: readonly unknown[]) => Promise<unknown>;
      return { value: outward(await act(...input)) };
    } catch (error) {
      return { code: isCoded(error) ? error.code : 'UNCODED', message: error instanceof Error ? `${error.message} ${error.stack ?? ''}` : String(error) };
    }
  },
  conformance: () =>
    eachCase(storeConformance, async ({ name, run }) => {
      const open = () => openIndexedDbKeyValueStore(`conformance ${name}`);
      await run({ store: await open(), reopen: open });
    }),
  vectors: () => eachCase(ownVectors, async ({ file, run }) => run((await (await fetch(`/vectors/${file}`)).json()) as Vectors)),
  /** Everything the page's databases hold, as text: to look for what must not stand there in the clear. */
  async kept(): Promise<string> {
    const store = await openIndexedDbKeyValueStore(DATABASE);
    const entries = await store.list('');
    await store.close();
    return entries.map(([key, value]) => `${key}\n${new TextDecoder('latin1').decode(value)}`).join('\n');
  },
};
export type Page = typeof page;
Object.assign(globalThis, { page });

async function eachCase<C extends { readonly name: string }>(cases: readonly C[], run: (one: C) => Promise<void>): Promise<readonly PageCase[]> {
  const told: PageCase[] = [];
  for (const one of cases) told.push(await run(one).then(() => ({ name: one.name }), (error: unknown) => ({ name: one.name, problem: String(error) })));
  return told;
}

function outward(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: toBase64url(value as Bytes) };
  if (Array.isArray(value)) return value.map(outward);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, outward(inner)]));
  return value;
}

/** The inverse of what `call` does to bytes, for the test's side. */
export function inward(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inward);
  if (typeof value !== 'object' || value === null) return value;
  const { bytes, ...rest } = value as { readonly bytes?: unknown };
  if (typeof bytes === 'string' && Object.keys(rest).length === 0) return fromBase64url(bytes);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, inward(inner)]));
}

/** Wraps by an AES key that the browser keeps and never hands out. */
async function browserKey(name: string): Promise<KeyWrap> {
  const database = await asked(() => {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore('keys');
    return opening;
  });
  const keys = (mode: IDBTransactionMode): IDBObjectStore => database.transaction('keys', mode).objectStore('keys');
  let key = (await asked(() => keys('readonly').get('unlock'))) as CryptoKey | undefined;
  if (key === undefined) {
    key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
    const made = key;
    await asked(() => keys('readwrite').put(made, 'unlock'));
  }
  const held = key;
  return {
    async wrap(secret) {
      const iv = systemRandom.bytes(12);
      return new Uint8Array([...iv, ...new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, held, secret))]);
    },
    unwrap: async (wrapped) => new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv: wrapped.slice(0, 12) }, held, wrapped.slice(12))),
  };
}

function asked<T>(make: () => IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = make();
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB refused'));
  });
}
