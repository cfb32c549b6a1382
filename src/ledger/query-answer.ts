/** Answers of range and history calls: a promise of an iterator that can itself be iterated, as fabric-shim gives. */
import type { QueryIterator, QueryPage } from './stub.ts';

/** The answer to a query. `ask` runs at once; its exception becomes the rejection. */
export function queryAnswer<T>(ask: () => QueryIterator<T> | Promise<QueryIterator<T>>): Promise<QueryIterator<T>> & AsyncIterable<T> {
  const promise = new Promise<QueryIterator<T>>((resolve) => resolve(ask()));
  return Object.assign(promise, {
    async *[Symbol.asyncIterator](): AsyncGenerator<T> {
      yield* await promise;
    },
  });
}

/** The answer to a query for a page. */
export function pageAnswer<T>(ask: () => QueryPage<T> | Promise<QueryPage<T>>): Promise<QueryPage<T>> & AsyncIterable<T> {
  const promise = new Promise<QueryPage<T>>((resolve) => resolve(ask()));
  return Object.assign(promise, {
    async *[Symbol.asyncIterator](): AsyncGenerator<T> {
      yield* (await promise).iterator;
    },
  });
}
