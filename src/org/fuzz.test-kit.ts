/** Requests nobody should send, made from the endpoint rows: near misses of good ones and plain junk, signed and unsigned. */
import fc from 'fast-check';
import { arbitraryOf } from '#api/arbitrary.test-kit.ts';
import type { SignRequest } from '#api/client.ts';
import type { Endpoint, EndpointTable } from '#api/endpoint.ts';
import { exampleOf, jsonSchemaOf } from '#api/json-schema.ts';
import { Problem } from '#api/problem.ts';
import type { Fetch } from '#base/ports.ts';
import { errorTable } from '#model/errors.ts';
import { expect } from 'vitest';
import { z } from 'zod';

/** Stands in requests where a name would; it must come out nowhere. */
export const CANARY = 'CANARY-Jane-Doe';

export interface Fuzzing {
  readonly fetch: Fetch;
  readonly url: string;
  readonly table: EndpointTable;
  /** Real callers; a request without and one with a junk signature are always among them. */
  readonly signers: readonly SignRequest[];
  readonly runs: number;
  readonly seed: number;
}

/** Expects every answer to be good or a problem whose code has a row, and none to be an internal error. */
export async function fuzzEndpoints({ fetch, url, table, signers, runs, seed }: Fuzzing): Promise<void> {
  const endpoint = fc.constantFrom(...Object.values(table));
  const request = endpoint.chain((row) => fc.record({ row: fc.constant(row), path: pathOf(row), method: fc.oneof({ weight: 8, arbitrary: fc.constant(row.method) }, { weight: 1, arbitrary: fc.constantFrom('GET', 'POST', 'DELETE') }), body: bodyOf(row) }));
  const signer = fc.constantFrom(unsigned, junk, ...signers);
  await fc.assert(
    fc.asyncProperty(request, signer, async ({ path, method, body }, sign) => {
      const made = new Request(url + path, { method, ...(method === 'GET' ? {} : { body }), headers: { 'content-type': 'application/json', 'user-agent': CANARY } });
      const response = await fetch(await sign(made));
      expect([500, 501]).not.toContain(response.status);
      const json = response.headers.get('content-type')?.includes('json') === true;
      const text = json ? await response.text() : '';
      if (response.status < 400 || (response.status === 503 && !text.includes('"code"'))) return;
      const { code, traceId } = Problem.parse(JSON.parse(text));
      expect(errorTable).toHaveProperty(code);
      expect(traceId).toMatch(/^[0-9a-f]{32}$/);
      expect(text).not.toMatch(/\.ts:\d|node_modules|at \w+ \(/);
    }),
    { numRuns: runs, seed },
  );
}

const unsigned: SignRequest = async (request) => request;
const junk: SignRequest = async (request) => new Request(request, { headers: { ...Object.fromEntries(request.headers), signature: CANARY, 'signature-input': CANARY, 'client-cert': `:${btoa(CANARY)}:` } });

function pathOf(row: Endpoint): fc.Arbitrary<string> {
  const params = row.params === undefined ? {} : (exampleOf(jsonSchemaOf(row.params, 'output')) as Record<string, unknown>);
  const good = row.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(params[name])));
  const bad = row.path.replaceAll(/\{\w+\}/g, CANARY);
  return fc.oneof({ weight: 6, arbitrary: fc.constant(good) }, fc.constant(bad), fc.constant(`${good}/${CANARY}`), fc.constant(`${good}?${CANARY}=${CANARY}`), fc.webQueryParameters().map((query) => `${good}?${query}`));
}

function bodyOf(row: Endpoint): fc.Arbitrary<string> {
  const junkText = fc.oneof(fc.json(), fc.string(), fc.constantFrom('', '{', `{"${CANARY}":1}`, '{"a":1,"a":2}', '['.repeat(1_000)));
  if (!(row.body instanceof z.ZodType)) return junkText;
  const fitting = arbitraryOf(jsonSchemaOf(row.body, 'input'));
  const near = fc.tuple(fitting, fc.json()).map(([value, other]) => JSON.stringify(spoiled(value, JSON.parse(other))));
  return fc.oneof({ weight: 3, arbitrary: fitting.map((value) => JSON.stringify(value)) }, { weight: 2, arbitrary: near }, { weight: 1, arbitrary: junkText });
}

/** One member of an object replaced by something else. */
function spoiled(value: unknown, other: unknown): unknown {
  if (typeof value !== 'object' || value === null) return other;
  const names = Object.keys(value);
  const name = names[JSON.stringify(other).length % Math.max(1, names.length)] ?? CANARY;
  return { ...value, [name]: other };
}
