/** Every role × every transaction on the real ledger, and every malformed input. Nothing is written: all calls are evaluated. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '#base/canonical-json.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { Who } from '#model/access.ts';
import { accessMatrix } from '#model/access.test-kit.ts';
import { channelOrgs, contractOf, type ChannelKind, type OrgClass, type Role } from '#model/orgs.ts';
import type { ChannelName, OrgId } from '#model/ids.ts';
import { codeOf, contracts, EAST, LAB, ORGS, PEOPLE, startNetwork, WEST, type Network } from './network.test-kit.ts';
import { catalogue } from './catalogue.ts';
import { samples } from './samples.test-kit.ts';

const orgs: Record<OrgClass, OrgId> = { uo: PEOPLE, ho: EAST, duo: LAB };
const channels: Record<ChannelKind, ChannelName> = { uic: 'uic', hdc: 'hdc-east', drc: 'drc', con: 'con' } as Record<ChannelKind, ChannelName>;
const inputs: Record<ChannelKind, Readonly<Record<string, unknown>>> = samples;

let network: Network;
const signers = new Map<string, LedgerSigner>();

beforeAll(async () => {
  network = await startNetwork();
  for (const [orgClass, org] of Object.entries(orgs)) {
    for (const role of ['person', 'system', 'staff', 'operator'] as const) signers.set(`${orgClass}/${role}`, await network.signer(org, role));
  }
});
afterAll(() => network.close());

function call(signer: LedgerSigner, channel: ChannelName, name: string, input: unknown): Promise<string> {
  return codeOf(network.ledger.evaluate({ channel, contract: contractOf(channel), name, input: input as Json, signer }));
}

describe('role × transaction on the ledger', () => {
  it.each(accessMatrix)('$kind.$transaction by $who: $allowed', async ({ kind, transaction, who, allowed }) => {
    const channel = channels[kind];
    const member = channelOrgs(channel, ORGS).orgs.includes(orgs[who.split('/')[0] as OrgClass]);
    const code = await call(signers.get(who) as LedgerSigner, channel, transaction, inputs[kind][transaction]);
    if (!member) expect(code).toBe('LEDGER_ACCESS_DENIED');
    else if (!allowed) expect(code).toBe('ROLE_NOT_ALLOWED');
    else expect(['ROLE_NOT_ALLOWED', 'INPUT_INVALID', 'TRANSACTION_UNKNOWN', 'INTERNAL']).not.toContain(code);
  });

  it('keeps another hospital off a keeper\'s channel altogether', async () => {
    for (const role of ['system', 'operator', 'person'] as Role[]) {
      const signer = await network.signer(WEST, role);
      for (const name of Object.keys(inputs.hdc)) expect(await call(signer, channels.hdc, name, inputs.hdc[name]), name).toBe('LEDGER_ACCESS_DENIED');
    }
  });

  it('gives no rights to a certificate without a known role', async () => {
    const signer = await network.signer(PEOPLE, 'peer' as Role);
    for (const kind of ['uic', 'drc', 'con'] as const) {
      for (const name of Object.keys(inputs[kind])) expect(await call(signer, channels[kind], name, inputs[kind][name]), `${kind}.${name}`).toBe('ROLE_NOT_ALLOWED');
    }
  });
});

describe('what can be called', () => {
  it.each(Object.keys(contracts) as ChannelKind[])('on %s is the table and nothing else', (kind) => {
    expect([...contracts[kind].rows.keys()].sort()).toEqual(Object.keys(catalogue[kind].inputs).sort());
    expect(Object.keys(catalogue[kind].outputs).sort()).toEqual(Object.keys(catalogue[kind].inputs).sort());
  });

  it.each(['nope', 'constructor', '__proto__', 'toString', 'Invoke', 'init', 'org.hyperledger.fabric:GetMetadata', ''])('no transaction %j', async (name) => {
    expect(await call(signers.get('uo/person') as LedgerSigner, channels.uic, name, {})).toBe('TRANSACTION_UNKNOWN');
  });
});

describe('malformed input', () => {
  const who: Record<ChannelKind, readonly Who[]> = { uic: ['uo/person', 'uo/system', 'uo/operator'], hdc: ['ho/system', 'uo/person', 'ho/operator'], drc: ['duo/system', 'uo/person', 'duo/operator'], con: ['ho/system', 'ho/operator'] };
  const cases = (Object.keys(inputs) as ChannelKind[]).flatMap((kind) => Object.keys(inputs[kind]).map((name) => ({ kind, name })));

  async function firstAllowed(kind: ChannelKind, name: string, input: unknown): Promise<string> {
    for (const role of who[kind]) {
      const code = await call(signers.get(role) as LedgerSigner, channels[kind], name, input);
      if (code !== 'ROLE_NOT_ALLOWED') return code;
    }
    return 'ROLE_NOT_ALLOWED';
  }

  it.each(cases)('of $kind.$name is refused: other type, unknown field, each field missing or of another type', async ({ kind, name }) => {
    const good = inputs[kind][name] as Record<string, unknown>;
    const optional = name === 'propose' ? ['member', 'org'] : [];
    const bad: readonly unknown[] = [
      null, [], 'text', 7, { ...good, extra: 1 },
      ...Object.keys(good).filter((field) => !optional.includes(field)).map((field) => Object.fromEntries(Object.entries(good).filter(([key]) => key !== field))),
      ...Object.keys(good).map((field) => ({ ...good, [field]: { wrong: true } })),
    ];
    for (const input of bad) expect(await firstAllowed(kind, name, input), JSON.stringify(input)?.slice(0, 80)).toBe('INPUT_INVALID');
  });

  it('names the first wrong place and never the value', async () => {
    const secret = 'CANARY-0815';
    const refused: unknown[] = [];
    for (const input of [{ tag: secret, sealed: secret }, { ...samples.uic.putEntry, [secret]: secret }, secret]) {
      await network.ledger.evaluate({ channel: channels.uic, contract: 'uic', name: 'putEntry', input: input as Json, signer: signers.get('uo/person') as LedgerSigner }).catch((error) => refused.push(error));
    }
    const text = JSON.stringify(refused.map((error) => [(error as Error).message, error, (error as Error).stack]));
    expect(text).not.toContain(secret);
    expect(refused).toHaveLength(3);
    expect(refused[0]).toMatchObject({ code: 'INPUT_INVALID', details: { path: 'tag' } });
  });

  it.each([511, 513, 0, 4_096])('an index entry of %i sealed bytes', async (bytes) => {
    const sealed = Buffer.alloc(bytes).toString('base64url');
    expect(await firstAllowed('uic', 'putEntry', { ...samples.uic.putEntry, sealed })).toBe('INPUT_INVALID');
  });

  it.each([
    ['openSlot', 4_095], ['openSlot', 8_192], ['invite', 8_191], ['invite', 4_096], ['respond', 4_097], ['respond', 8_192],
  ] as const)('%s with %i sealed bytes', async (name, bytes) => {
    expect(await firstAllowed('drc', name, { ...samples.drc[name], sealed: Buffer.alloc(bytes).toString('base64url') })).toBe('INPUT_INVALID');
  });
});
