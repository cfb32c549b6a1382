/** What a handler is given and may answer, inferred from its endpoint row. */
import type { z } from 'zod';
import type { Bytes } from '#base/bytes.ts';
import type { CallerOf } from './caller.ts';
import type { Endpoint, EndpointTable } from './endpoint.ts';

type Parsed<S> = S extends z.ZodType ? z.output<S> : Readonly<Record<string, never>>;
type Body<S> = S extends 'bytes' ? Bytes : S extends z.ZodType ? z.output<S> : undefined;

/** One request, parsed and authorised. */
export interface Call<E extends Endpoint> {
  readonly params: Parsed<E['params']>;
  readonly query: Parsed<E['query']>;
  /** Parsed JSON, or the whole received bytes of a `bytes` row. */
  readonly body: Body<E['body']>;
  readonly caller: CallerOf<E>;
  readonly headers: Headers;
  readonly traceId: string;
  /** Aborts when the caller goes away. */
  readonly signal: AbortSignal;
}

type Answer<O> = O extends z.ZodType ? z.input<O> : O extends 'text' ? string : Bytes;

/** Answers with the row's output, or with a whole Response where status, headers or a stream matter. */
export type Handler<E extends Endpoint> = (call: Call<E>) => Promise<Answer<E['output']> | Response> | Answer<E['output']> | Response;

/** One handler per row: a row without a handler does not compile. */
export type Handlers<T extends EndpointTable> = { readonly [Name in keyof T]: Handler<T[Name]> };
