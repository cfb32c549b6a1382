/** What arrives before any row runs, through the port itself: arguments as raw text, times, callers and failures that no client of ours would send. */
import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { canonicalJson, type Json } from '#base/canonical-json.ts';
import { generateSigningKey } from '#crypto/keys.ts';
import { createAuthority } from '#crypto/x509.ts';
import type { ContractResponse, ContractStub } from '#ledger/stub.ts';
import { fakeClock } from '#sim/seams.ts';
import { compositeKey } from './keys.ts';
import { PEOPLE, START_MS } from './network.test-kit.ts';
import { samples } from './samples.test-kit.ts';
import type { ObjectType } from './object-types.ts';
import { claimedTime } from './table.ts';
import { uicContract } from './uic.ts';

const ca = await createAuthority({ org: PEOPLE, commonName: 'root', clock: fakeClock(START_MS) });
const { publicKey } = await generateSigningKey();
const certificate = await ca.issue({ commonName: 'someone', organizationalUnit: 'client', attributes: { 'hk.role': 'person' }, publicKey, notBefore: START_MS, days: 30 });

interface Arrival {
  readonly name?: string;
  readonly params: readonly string[];
  readonly mspid?: string;
  readonly state?: ReadonlyMap<string, Uint8Array>;
  readonly failing?: Error;
}

/** The part of Fabric's stub that these calls touch, over one committed state. */
function stubOf({ name = 'putEntry', params, mspid = PEOPLE, state = new Map(), failing }: Arrival) {
  const writes = new Map<string, string>();
  const events: string[] = [];
  const stub: Partial<ContractStub> = {
    getFunctionAndParameters: () => ({ fcn: name, params: [...params] }),
    getChannelID: () => 'uic',
    getCreator: () => ({ mspid, idBytes: utf8(certificate) }),
    getTxTimestamp: () => ({ seconds: START_MS / 1_000, nanos: 0 }),
    createCompositeKey: (objectType, attributes) => compositeKey([objectType as ObjectType, ...attributes]),
    getState: async (key) => {
      if (failing !== undefined) throw failing;
      return state.get(key) ?? new Uint8Array(0);
    },
    putState: async (key, value) => void writes.set(key, fromUtf8(value)),
    setEvent: (event, payload) => void events.push(`${event} ${fromUtf8(payload)}`),
  };
  return { stub: stub as ContractStub, writes, events };
}

const invoke = (arrival: Arrival): Promise<ContractResponse> => uicContract.Invoke(stubOf(arrival).stub);
const told = (response: ContractResponse) => ({ status: response.status, ...(JSON.parse(response.message) as { code: string; message: string; details: Record<string, unknown> }) });
const good = canonicalJson(samples.uic.putEntry as unknown as Json);

describe('an argument', () => {
  it('in canonical form is taken; answer, writes and event are canonical and the same every time', async () => {
    const runs = await Promise.all([1, 2, 3].map(async () => {
      const run = stubOf({ params: [good] });
      const response = await uicContract.Invoke(run.stub);
      return { status: response.status, payload: fromUtf8(response.payload), writes: [...run.writes], events: run.events };
    }));
    expect(runs[0]).toMatchObject({ status: 200, payload: '{"done":true}', events: [`entry-put {"tag":"${samples.uic.putEntry.tag}"}`] });
    expect(runs[0]?.writes.map(([key]) => key.split('\u0000')[1])).toEqual(['entry', 'writer']);
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).toEqual(runs[0]);
  });

  const { tag, sealed } = samples.uic.putEntry;
  it.each([
    ['in another order', `{"tag":"${tag}","sealed":"${sealed}"}`],
    ['with spaces', ` ${good}`],
    ['with a key twice', `{"sealed":"${sealed}","tag":"${tag}","tag":"${tag}"}`],
    ['with an escape', good.replace('"tag"', '"\\u0074ag"')],
    ['that is no JSON', '{"tag":'],
    ['that is empty', ''],
    ['200,000 deep', '['.repeat(200_000)],
    ['200,000 deep and closed', `${'['.repeat(200_000)}${']'.repeat(200_000)}`],
    ['with a prototype', `{"__proto__":{"tag":"${tag}"},"sealed":"${sealed}"}`],
  ])('%s is refused', async (_name, text) => {
    const response = told(await invoke({ params: [text] }));
    expect(response).toMatchObject({ status: 400, code: 'INPUT_INVALID' });
    expect(response.message.length + JSON.stringify(response.details).length).toBeLessThan(300);
  });

  it.each([[[]], [[good, good]], [[good, '']]])('stands alone (%#)', async (params) => {
    expect(told(await invoke({ params }))).toMatchObject({ status: 400, code: 'INPUT_INVALID' });
  });
});

describe('a refusal', () => {
  it('carries code, sentence and next step as canonical JSON, with a status that stops endorsement', async () => {
    const response = await invoke({ name: 'nope', params: ['{}'] });
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(response.payload).toHaveLength(0);
    expect(canonicalJson(JSON.parse(response.message) as Json)).toBe(response.message);
    expect(told(response)).toMatchObject({ code: 'TRANSACTION_UNKNOWN', details: { next: expect.any(String) as string } });
  });

  it('of what nobody expected says nothing of it', async () => {
    const response = await invoke({ params: [good], failing: new Error('CANARY at /secret/path') });
    expect(told(response)).toMatchObject({ status: 500, code: 'INTERNAL' });
    expect(response.message).not.toMatch(/CANARY|secret/);
  });

  it.each(['ORD-consortium', 'uo-people', 'UO-', 'XX-people', ''])('meets an organisation called %j', async (mspid) => {
    expect(told(await invoke({ params: [good], mspid }))).toMatchObject({ status: 403, code: 'ROLE_NOT_ALLOWED' });
  });

  it('meets a person of a hospital: the role is believed in the user organisation only', async () => {
    expect(told(await invoke({ params: [good], mspid: 'HO-east' }))).toMatchObject({ code: 'ROLE_NOT_ALLOWED' });
  });
});

describe('a claimed time', () => {
  const at = (seconds: number | { toNumber(): number }, nanos = 0): string => claimedTime({ getTxTimestamp: () => ({ seconds, nanos }) } as ContractStub);
  it.each([
    [0, 0, '1970-01-01T00:00:00.000Z'],
    [1_767_225_600, 1_999_999, '2026-01-01T00:00:00.001Z'],
    [{ toNumber: () => 1_767_225_600 }, 0, '2026-01-01T00:00:00.000Z'],
    [253_402_300_799, 999_999_999, '9999-12-31T23:59:59.999Z'],
  ])('of %j s and %i ns is %s', (seconds, nanos, expected) => expect(at(seconds, nanos)).toBe(expected));

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 253_402_300_800])('of %d s is refused', (seconds) => {
    expect(() => at(seconds)).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }) as Error);
  });

  it.each([-1, Number.NaN, 1_000_000_000])('of %d ns is refused', (nanos) => {
    expect(() => at(0, nanos)).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }) as Error);
  });
});
