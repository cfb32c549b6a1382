import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromUtf8 } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import { readBlock } from '#ledger/block.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { SlotPhase } from '#model/drc.ts';
import type { ChannelName, SlotTag } from '#model/ids.ts';
import { slotCells, slotPhases } from '#model/rules/slot-table.test-kit.ts';
import type { TemplateRef } from '#model/template.ts';
import { fakeClock } from '#sim/seams.ts';
import { drcClient, type ContractClient } from './client.ts';
import { answerInput, foundConsortium, inviteInput, noInput, publish, refOf, slotIn, slotInput, templateOf, type Consortium, type OpenedSlot } from './consortium.test-kit.ts';
import { codeOf, day, digestOf, EAST, everyRole, INSURER, LAB, PEOPLE, slotOf, START_MS, startNetwork, type Network } from './network.test-kit.ts';

const DRC = 'drc' as ChannelName;
let network: Network;
let consortium: Consortium;
let template: TemplateRef;
let foreign: TemplateRef;
let lab: ContractClient<'drc'>;
let insurer: ContractClient<'drc'>;

beforeAll(async () => {
  network = await startNetwork();
  consortium = await foundConsortium(network);
  template = await publish(consortium, templateOf('sugar'));
  foreign = await publish(consortium, templateOf('risk', { requester: INSURER, purpose: 'underwriting' }));
  lab = drcClient(network.ledger, consortium.systemOf(LAB));
  insurer = drcClient(network.ledger, consortium.systemOf(INSURER));
});
afterAll(() => network.close());

const person = async (): Promise<ContractClient<'drc'>> => drcClient(network.ledger, await network.signer(PEOPLE, 'person'));
const open = (name: string): Promise<OpenedSlot> => slotIn(consortium, { phase: 'open', name, template });

/** How many invitations stand on the ledger, counted from the blocks. */
async function invitationsInBlocks(slots: ReadonlySet<string>): Promise<number> {
  const height = network.embedded.height(DRC);
  let count = 0;
  for await (const block of network.ledger.blocks({ channel: DRC, startBlock: 0, signer: network.peerOf(LAB) })) {
    for (const transaction of readBlock(block.bytes).transactions) {
      if (transaction.code === 'VALID' && transaction.function === 'invite') count += transaction.writes.filter((write) => slots.has(write.key.split('\u0000')[2] ?? '')).length;
    }
    if (block.number === height - 1) break;
  }
  return count;
}

describe('permits and invitations', () => {
  it('write exactly as many invitations as a permit has slots, of 1,000 sent at once', async () => {
    const quota = 10;
    const slots: SlotTag[] = [];
    for (let at = 0; at < quota; at++) slots.push((await open(`flood ${at}`)).slot);
    const codes = await Promise.all(Array.from({ length: 1_000 }, (_, at) => codeOf(lab.submit('invite', inviteInput(slots[at % quota] as SlotTag, template)))));
    expect(codes.filter((code) => code === 'allowed')).toHaveLength(quota);
    expect(new Set(codes)).toEqual(new Set(['allowed', 'SLOT_SPENT']));
    expect(await invitationsInBlocks(new Set(slots))).toBe(quota);
    for (const slot of slots) expect((await lab.evaluate('getSlot', { slot })).phase).toBe('invited');
  });

  it('write no invitation without a live slot', async () => {
    const { slot, holder } = await open('live');
    expect(await codeOf(lab.submit('invite', inviteInput(slotOf('never opened'), template)))).toBe('SLOT_UNKNOWN');
    expect(await codeOf(insurer.submit('invite', inviteInput(slot, template)))).toBe('SLOT_UNKNOWN');
    expect(await codeOf(drcClient(network.ledger, holder).submit('invite' as 'respond', inviteInput(slot, template) as never))).toBe('ROLE_NOT_ALLOWED');
    expect(await codeOf(lab.submit('invite', inviteInput(slot, foreign)))).toBe('TEMPLATE_NOT_PERMITTED');
    expect(await codeOf(lab.submit('invite', inviteInput(slot, template, { answerBy: day(0) })))).toBe('ANSWER_TIME_PAST');
    await drcClient(network.ledger, holder).submit('withdrawSlot', { slot });
    expect(await codeOf(lab.submit('invite', inviteInput(slot, template)))).toBe('SLOT_WITHDRAWN');
  });

  it('open a slot once per tag and once per certificate', async () => {
    const { holder } = await open('once');
    expect(await codeOf((await person()).submit('openSlot', slotInput('once', [template])))).toBe('SLOT_EXISTS');
    expect(await codeOf(drcClient(network.ledger, holder).submit('openSlot', slotInput('twice', [template])))).toBe('CERTIFICATE_REUSED');
    const one = await person();
    const codes = await Promise.all(Array.from({ length: 10 }, (_, at) => codeOf(one.submit('openSlot', slotInput(`race ${at}`, [template])))));
    expect(codes.filter((code) => code === 'allowed')).toHaveLength(1);
  });

  it('name published templates of that data user only', async () => {
    expect(await codeOf((await person()).submit('openSlot', slotInput('foreign', [foreign])))).toBe('TEMPLATE_NOT_PERMITTED');
    expect(await codeOf((await person()).submit('openSlot', slotInput('unpublished', [refOf(templateOf('unpublished'))])))).toBe('TEMPLATE_UNKNOWN');
    expect(await codeOf((await person()).submit('openSlot', slotInput('altered', [{ ...template, digest: digestOf('altered') }])))).toBe('TEMPLATE_UNKNOWN');
    expect(await codeOf((await person()).submit('openSlot', slotInput('hospital', [template], { duo: EAST })))).toBe('RECIPIENT_NOT_ALLOWED');
  });

  it('end when the approval of the template ends', async () => {
    const short = await publish(consortium, templateOf('short', { approval: { issuer: 'Board', documentDigest: digestOf('a'), until: day(1) } }));
    const { slot } = await slotIn(consortium, { phase: 'open', name: 'short', template: short });
    const later = drcClient(network.clientAt(fakeClock(START_MS + 2 * 86_400_000)), consortium.systemOf(LAB));
    expect(await codeOf(later.submit('invite', inviteInput(slot, short)))).toBe('TEMPLATE_APPROVAL_EXPIRED');
  });
});

describe('a slot on the ledger, by transaction, party and phase', () => {
  const opened = new Map<string, OpenedSlot>();
  const parties = new Map<string, LedgerSigner>();
  const input: Record<string, (slot: SlotTag) => Json> = {
    getSlot: (slot) => ({ slot }),
    withdrawSlot: (slot) => ({ slot }),
    reportSlot: (slot) => ({ slot, reason: 'pressure' }),
    invite: (slot) => inviteInput(slot, template) as Json,
    respond: (slot) => answerInput(slot) as Json,
    revokeGrant: (slot) => ({ slot }),
    putReceipt: (slot) => ({ slot, packageDigest: digestOf('p'), delivered: 1, verified: 1, keepers: [{ org: EAST, items: 1 }] }),
    putErasure: (slot) => ({ slot, reason: 'early', receiptDigest: digestOf('e') }),
  };
  const tried = (name: string, slot: SlotTag, signer: LedgerSigner): Promise<unknown> => network.ledger.evaluate({ channel: DRC, contract: 'drc', name, input: (input[name] as (slot: SlotTag) => Json)(slot), signer });

  beforeAll(async () => {
    for (const phase of SlotPhase.options) opened.set(phase, await slotIn(consortium, { phase, name: `phase ${phase}`, template }));
    opened.set('none', { slot: slotOf('phase none'), holder: await network.signer(PEOPLE, 'person') });
    parties.set('person', await network.signer(PEOPLE, 'person'));
    parties.set('duo', consortium.systemOf(LAB));
    parties.set('otherDuo', consortium.systemOf(INSURER));
  });

  it.each(slotCells)('$transaction by $by in $phase: $expected', async ({ transaction, by, phase, expected }) => {
    const { slot, holder } = opened.get(phase) as OpenedSlot;
    expect(await codeOf(tried(transaction, slot, by === 'holder' ? holder : (parties.get(by) as LedgerSigner)))).toBe(expected);
  });

  it.each([...new Set(slotCells.map((cell) => cell.transaction))])('%s tells strangers of every phase what it tells of no slot, word for word', async (transaction) => {
    const byDuo = slotCells.some((cell) => cell.transaction === transaction && cell.by === 'duo');
    const byPerson = slotCells.some((cell) => cell.transaction === transaction && cell.by === 'holder');
    for (const stranger of [...(byPerson ? ['person'] : []), ...(byDuo ? ['otherDuo'] : [])]) {
      const answers = new Set<string>();
      for (const phase of slotPhases) {
        const { slot } = opened.get(phase) as OpenedSlot;
        await tried(transaction, slot, parties.get(stranger) as LedgerSigner).catch((error: Error) => answers.add(JSON.stringify([error, error.message])));
      }
      expect(answers.size, stranger).toBe(1);
      expect([...answers][0], stranger).toContain('"SLOT_UNKNOWN"');
    }
  });
});

describe('lists', () => {
  it('show a data user its own slots only, whatever bookmark it sends', async () => {
    const mine = await slotIn(consortium, { phase: 'open', name: 'listed', template });
    const theirs = slotOf('theirs');
    await (await person()).submit('openSlot', slotInput('theirs', [foreign], { duo: INSURER }));
    const all = async (client: ContractClient<'drc'>): Promise<string[]> => {
      const seen: string[] = [];
      for (let bookmark = '', first = true; first || bookmark !== ''; first = false) {
        const page = await client.evaluate('listSlots', { bookmark, pageSize: 5 });
        seen.push(...page.slots.map((found) => found.slot));
        bookmark = page.bookmark;
      }
      return seen;
    };
    const [ofLab, ofInsurer] = [await all(lab), await all(insurer)];
    expect(ofLab).toContain(mine.slot);
    expect(ofInsurer).toEqual([theirs]);
    expect(ofLab).not.toContain(theirs);
    expect(new Set(ofLab).size).toBe(ofLab.length);
    // DUO-insurer sorts before DUO-lab: a bookmark of its range would make the ledger start reading there.
    for (const bookmark of [`\u0000duo-slot\u0000${INSURER}\u0000`, '\u0000duo-slot\u0000', 'x']) {
      expect(await codeOf(lab.evaluate('listSlots', { bookmark, pageSize: 500 })), bookmark).toBe('INPUT_INVALID');
    }
  });

  it('are not in blocks for anybody but the data users\' peers and operators', async () => {
    const firstBlock = async (signer: LedgerSigner): Promise<void> => {
      for await (const block of network.ledger.blocks({ channel: DRC, startBlock: 0, signer })) if (block.number === 0) return;
    };
    expect(await codeOf(firstBlock(network.peerOf(INSURER)))).toBe('allowed');
    expect(await codeOf(firstBlock(await network.signer(LAB, 'operator')))).toBe('allowed');
    const strangers = [network.peerOf(EAST), network.peerOf(PEOPLE), await network.signer(LAB, 'system'), ...(await everyRole(network, PEOPLE))];
    for (const signer of strangers) expect(await codeOf(firstBlock(signer)), signer.mspId).toBe('LEDGER_ACCESS_DENIED');
  });

  it('are in no event for anybody but the data users', async () => {
    const { slot } = await open('seen in an event');
    const told = async (signer: LedgerSigner): Promise<string> => {
      for await (const event of network.ledger.events({ channel: DRC, contract: 'drc', startBlock: 0, signer })) if (fromUtf8(event.payload).includes(slot)) return 'told';
      return 'ended';
    };
    for (const signer of [consortium.systemOf(LAB), consortium.systemOf(INSURER)]) expect(await told(signer)).toBe('told');
    for (const signer of [network.peerOf(PEOPLE), network.peerOf(EAST), ...(await everyRole(network, PEOPLE))]) expect(await codeOf(told(signer)), signer.mspId).toBe('LEDGER_ACCESS_DENIED');
  });

  it('are refused to the user organisation\'s operator and system', async () => {
    const { slot } = await open('seen by nobody');
    for (const role of ['operator', 'system', 'staff'] as const) {
      const client = drcClient(network.ledger, await network.signer(PEOPLE, role));
      expect(await codeOf(client.evaluate('getSlot', { slot })), role).toBe('ROLE_NOT_ALLOWED');
      expect(await codeOf(client.evaluate('listSlots', { bookmark: '', pageSize: 5 })), role).toBe('ROLE_NOT_ALLOWED');
    }
  });
});

describe('answers', () => {
  it('are given once', async () => {
    const { slot, holder } = await slotIn(consortium, { phase: 'invited', name: 'answered twice', template });
    const client = drcClient(network.ledger, holder);
    const codes = await Promise.all([codeOf(client.submit('respond', answerInput(slot))), codeOf(client.submit('respond', noInput(slot)))]);
    expect(codes.sort()).toEqual(['ANSWER_EXISTS', 'allowed']);
    expect(await codeOf(client.submit('respond', answerInput(slot)))).toBe('ANSWER_EXISTS');
  });

  it('say what they decide', async () => {
    const { slot, holder } = await slotIn(consortium, { phase: 'invited', name: 'decided', template });
    const client = drcClient(network.ledger, holder);
    expect(await codeOf(client.submit('respond', { ...noInput(slot), grantCommitment: digestOf('hidden') }))).toBe('ANSWER_INCONSISTENT');
    expect(await codeOf(client.submit('respond', { ...noInput(slot), decision: 'all' }))).toBe('ANSWER_INCONSISTENT');
    expect((await client.submit('respond', noInput(slot))).output).toEqual({ phase: 'refused' });
  });

  it('end when the invitation or the grant ends, by the floor and not by the claim', async () => {
    const own = await startNetwork();
    try {
      const inOwn = await foundConsortium(own);
      const ref = await publish(inOwn, templateOf('sugar'));
      const invited = await slotIn(inOwn, { phase: 'invited', name: 'late', template: ref });
      const unused = await slotIn(inOwn, { phase: 'open', name: 'unused', template: ref });
      const labSystem = inOwn.systemOf(LAB);
      const users = [drcClient(own.ledger, labSystem), drcClient(own.ledger, inOwn.systemOf(INSURER))];
      // One organisation alone cannot move time; two agree.
      await (users[0] as ContractClient<'drc'>).submit('setTimeFloor', { at: day(1) });
      await (users[0] as ContractClient<'drc'>).submit('setTimeFloor', { at: day(900) });
      await (users[1] as ContractClient<'drc'>).submit('setTimeFloor', { at: day(2) });
      const backDated = own.clientAt(fakeClock(START_MS));
      const late = (holder: LedgerSigner) => drcClient(backDated, holder);
      expect(await codeOf(late(invited.holder).evaluate('getSlot', { slot: invited.slot }))).toBe('allowed');
      await (users[1] as ContractClient<'drc'>).submit('setTimeFloor', { at: day(31) });
      expect(await codeOf(late(invited.holder).submit('respond', answerInput(invited.slot, { until: day(50), eraseAt: day(60) })))).toBe('INVITATION_EXPIRED');
      expect(await codeOf(drcClient(backDated, labSystem).submit('invite', inviteInput(unused.slot, ref, { answerBy: day(99) })))).toBe('SLOT_EXPIRED');
      expect(await codeOf((users[1] as ContractClient<'drc'>).submit('setTimeFloor', { at: day(30) }))).toBe('TIME_FLOOR_BACK');
    } finally {
      await own.close();
    }
  });

  it('can be taken back and reported, and tell the time of it', async () => {
    const { slot, holder } = await slotIn(consortium, { phase: 'answered', name: 'taken back', template });
    const client = drcClient(network.ledger, holder);
    await client.submit('reportSlot', { slot, reason: 'pressure' });
    await client.submit('reportSlot', { slot, reason: 'pressure' });
    await client.submit('revokeGrant', { slot });
    await client.submit('revokeGrant', { slot });
    expect(await client.evaluate('getSlot', { slot })).toMatchObject({ phase: 'revoked', revokedAt: day(0), reports: ['pressure'] });
    expect(await codeOf(lab.submit('putErasure', { slot, reason: 'due', receiptDigest: digestOf('e') }))).toBe('ERASURE_REASON_UNTRUE');
    await lab.submit('putErasure', { slot, reason: 'revoked', receiptDigest: digestOf('e') });
    expect(await codeOf(lab.submit('putErasure', { slot, reason: 'early', receiptDigest: digestOf('e') }))).toBe('ERASURE_EXISTS');
  });
});
