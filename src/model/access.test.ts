import { describe, expect, it } from 'vitest';
import { accessRow, accessTable, decideAccess, type Who } from './access.ts';
import { accessMatrix } from './access.test-kit.ts';
import { conInputs } from './con.ts';
import { drcInputs } from './drc.ts';
import { ledgerEvents } from './events.ts';
import { hdcInputs } from './hdc.ts';
import type { ChannelName, OrgId } from './ids.ts';
import { ChannelKind, OrgClass, Role } from './orgs.ts';
import { uicInputs } from './uic.ts';

const inputs = { uic: uicInputs, hdc: hdcInputs, drc: drcInputs, con: conInputs } as const;
const channels = { uic: 'uic', hdc: 'hdc-east', drc: 'drc', con: 'con' } as Record<ChannelKind, ChannelName>;
const orgs = { uo: 'UO-people', ho: 'HO-east', duo: 'DUO-lab' } as Record<OrgClass, OrgId>;

function caller(who: Who, org?: string) {
  const [orgClass, role] = who.split('/') as [OrgClass, Role];
  return { org: (org ?? orgs[orgClass]) as OrgId, class: orgClass, role };
}

describe('who may call what', () => {
  it('lists every pair of role and transaction once', () => {
    const expected = ChannelKind.options.flatMap((kind) => Object.keys(inputs[kind]).flatMap((transaction) => OrgClass.options.flatMap((orgClass) => Role.options.map((role) => `${kind} ${transaction} ${orgClass}/${role}`))));
    const listed = accessMatrix.map((cell) => `${cell.kind} ${cell.transaction} ${cell.who}`);
    expect([...listed].sort()).toEqual([...expected].sort());
  });

  it.each(accessMatrix)('$kind.$transaction by $who: $allowed', ({ kind, transaction, who, allowed }) => {
    const verdict = decideAccess(caller(who), { kind, channel: channels[kind], transaction });
    expect(verdict).toEqual(allowed ? { allow: true } : { allow: false, because: 'ROLE_NOT_ALLOWED' });
  });

  it('lets no hospital act on another hospital\'s channel', () => {
    for (const { kind, transaction, who } of accessMatrix.filter((cell) => cell.kind === 'hdc' && cell.who.startsWith('ho/'))) {
      expect(decideAccess(caller(who, 'HO-west'), { kind, channel: channels.hdc, transaction }), `${transaction} ${who}`).toMatchObject({ because: 'ROLE_NOT_ALLOWED' });
    }
  });

  it.each(['', 'constructor', '__proto__', 'toString', 'putEntry ', 'Invoke'])('knows no transaction %j', (transaction) => {
    expect(accessRow('uic', transaction)).toBeUndefined();
    expect(decideAccess(caller('uo/person'), { kind: 'uic', channel: channels.uic, transaction })).toMatchObject({ because: 'TRANSACTION_UNKNOWN' });
  });

  it.each(ChannelKind.options)('gives every %s transaction that writes one event and no other', (kind) => {
    const writing = Object.entries(accessTable[kind]).filter(([, row]) => row.kind === 'submit').map(([name]) => name);
    expect(Object.keys(ledgerEvents[kind]).sort()).toEqual(writing.sort());
    expect(Object.keys(accessTable[kind]).sort()).toEqual(Object.keys(inputs[kind]).sort());
  });

  it.each(ChannelKind.options)('says on %s what a caller must be beyond its role wherever a person writes', (kind) => {
    const rows: Readonly<Record<string, { readonly kind: string; readonly by: readonly string[]; readonly only?: string }>> = accessTable[kind];
    const bare = Object.entries(rows).filter(([, row]) => row.kind === 'submit' && row.by.includes('uo/person') && row.only === undefined).map(([name]) => name);
    expect(bare).toEqual([]);
  });
});
