/** The browser's twin of the SQLite key-value store: one object store of IndexedDB, keys ordered by UTF-16 code units as the port asks. */
import type { Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { KeyValueStore } from '#base/ports.ts';

const ENTRIES = 'entries';

/** Opens a database by name. Throws STORE_UNAVAILABLE where the browser refuses. */
export async function openIndexedDbKeyValueStore(name: string): Promise<KeyValueStore> {
  const database = await done(request(() => {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(ENTRIES);
    return opening;
  }));
  const reading = (): IDBObjectStore => database.transaction(ENTRIES, 'readonly').objectStore(ENTRIES);
  return {
    async get(key) {
      const value: unknown = await done(reading().get(key));
      return value === undefined ? undefined : new Uint8Array(value as Bytes);
    },
    write(changes) {
      return new Promise((resolve, reject) => {
        // `strict` waits for the disk: a resolved write is durable.
        const transaction = database.transaction(ENTRIES, 'readwrite', { durability: 'strict' });
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(unavailable(transaction.error));
        const entries = transaction.objectStore(ENTRIES);
        for (const [key, value] of changes) {
          if (value === undefined) entries.delete(key);
          else entries.put(value.slice(), key);
        }
      });
    },
    async list(prefix, { after, limit } = {}) {
      if (limit === 0) return [];
      const range = rangeOf(prefix, after);
      if (range === undefined) return [];
      const entries = reading();
      const [keys, values] = await Promise.all([done(entries.getAllKeys(range, limit)), done(entries.getAll(range, limit))]);
      return keys.map((key, at) => [key as string, new Uint8Array(values[at] as Bytes)] as const);
    },
    async close() {
      database.close();
    },
  };
}

/** Keys that start with the prefix and come after `after`; undefined when there can be none. */
function rangeOf(prefix: string, after: string | undefined): IDBKeyRange | undefined {
  const open = after !== undefined && after >= prefix;
  const lower = open ? after : prefix;
  const upper = successor(prefix);
  if (upper === undefined) return IDBKeyRange.lowerBound(lower, open);
  return lower < upper ? IDBKeyRange.bound(lower, upper, open, true) : undefined;
}

/** The smallest string after all strings that start with the prefix, by UTF-16 code units; undefined when there is none. */
function successor(prefix: string): string | undefined {
  const kept = prefix.replace(/\uffff+$/, '');
  return kept === '' ? undefined : kept.slice(0, -1) + String.fromCharCode(kept.charCodeAt(kept.length - 1) + 1);
}

function done<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(unavailable(asked.error));
  });
}

function request<T>(make: () => IDBRequest<T>): IDBRequest<T> {
  try {
    return make();
  } catch (cause) {
    throw unavailable(cause);
  }
}

function unavailable(cause: unknown): CodedError {
  return new CodedError('STORE_UNAVAILABLE', 'The browser does not let this page keep data.', { next: 'Allow storage for this site and leave private browsing.' }, { cause });
}
