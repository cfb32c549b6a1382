/** Every endpoint row, through the client and the router and back, with generated values. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { silentLog } from '#base/ports.ts';
import { CallerId, Digest, MailboxHandle, OrgId } from '#model/ids.ts';
import { fakeClock, seededRandom } from '#sim/seams.ts';
import { z } from 'zod';
import { arbitraryOf } from './arbitrary.test-kit.ts';
import type { AnyCaller } from './caller.ts';
import { createApiClient } from './client.ts';
import type { Allowed, Endpoint, EndpointTable } from './endpoint.ts';
import { commonEndpoints, dataUserEndpoints, hospitalEndpoints, userOrgEndpoints } from './endpoints.ts';
import type { Call, Handlers } from './handlers.ts';
import { jsonSchemaOf } from './json-schema.ts';
import { createRouter } from './router.ts';

const org = OrgId.parse('HO-east');
const rows = Object.entries({ common: commonEndpoints, user: userOrgEndpoints, hospital: hospitalEndpoints, data: dataUserEndpoints } as Record<string, EndpointTable>).flatMap(([table, endpoints]) =>
  Object.entries(endpoints).map(([name, endpoint]) => ({ row: `${table}.${name}`, name, endpoint })),
);

/** A caller that the row lets in. */
function callerFor(allowed: Allowed): AnyCaller | undefined {
  if (allowed === 'public') return undefined;
  if (allowed === 'mailbox-key') return { mailbox: MailboxHandle.parse('A'.repeat(43)) };
  const [who, role] = allowed.split('/') as [string, 'system'];
  const of = who === 'own' || who === 'member' ? org : OrgId.parse(`${who.toUpperCase()}-other`);
  return { org: of, class: of.startsWith('HO') ? 'ho' : of.startsWith('UO') ? 'uo' : 'duo', role, name: 'x', id: CallerId.parse('B'.repeat(43)), key: Digest.parse('K'.repeat(43)), certificate: '' };
}

const given = (schema: z.ZodType | 'bytes' | undefined, io: 'input' | 'output'): fc.Arbitrary<unknown> =>
  schema === undefined ? fc.constant(undefined) : schema === 'bytes' ? fc.uint8Array({ maxLength: 500 }).map((bytes) => new Uint8Array(bytes)) : arbitraryOf(jsonSchemaOf(schema, io)).filter((value) => schema.safeParse(value).success);

describe('client and router', () => {
  it.each(rows)('$row: carries what was sent and what was answered', async ({ name, endpoint }) => {
    const outputs = endpoint.output === 'bytes' ? fc.uint8Array({ maxLength: 500 }) : endpoint.output === 'text' ? fc.string() : given(endpoint.output, 'output');
    const cases = fc.record({ params: given(endpoint.params, 'output'), query: given(endpoint.query, 'output'), body: given(endpoint.body, 'input'), output: outputs });
    await fc.assert(
      fc.asyncProperty(cases, async ({ params, query, body, output }) => {
        const calls: Call<Endpoint>[] = [];
        const handler = (call: Call<Endpoint>): unknown => (calls.push(call), endpoint.output === 'bytes' ? Uint8Array.from(output as Uint8Array) : output);
        const router = createRouter({
          table: { [name]: endpoint },
          handlers: { [name]: handler } as unknown as Handlers<EndpointTable>,
          authenticate: async () => callerFor(endpoint.by[0] as Allowed),
          org,
          clock: fakeClock(0),
          random: seededRandom(1),
          log: silentLog,
        });
        const client = createApiClient({ table: { [name]: endpoint } as EndpointTable, baseUrl: 'https://ho-east.example/', fetch: router, sign: async (request) => (request.headers.set('signature', 'x'), request) });
        const answer = await (client[name] as (input: unknown) => Promise<unknown>)({ params, query, body });
        expect(calls[0]?.params).toEqual(endpoint.params === undefined ? {} : endpoint.params.parse(params));
        expect(calls[0]?.query).toEqual(endpoint.query === undefined ? {} : endpoint.query.parse(query));
        expect(calls[0]?.body).toEqual(endpoint.body instanceof z.ZodType ? endpoint.body.parse(body) : body);
        expect(endpoint.output === 'bytes' ? new Uint8Array(await (answer as Response).arrayBuffer()) : answer).toEqual(endpoint.output === 'bytes' ? Uint8Array.from(output as Uint8Array) : output);
      }),
      { numRuns: 15, seed: 20_261_120 },
    );
  });
});
