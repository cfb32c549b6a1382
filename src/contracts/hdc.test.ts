import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromUtf8 } from '#base/bytes.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { Anchor, ReleaseOrder } from '#model/hdc.ts';
import type { Digest, GrantId, OrgId, PairwiseId, RecordId, Signature, SubjectId } from '#model/ids.ts';
import { fakeClock } from '#sim/seams.ts';
import { hdcClient, type ContractClient } from './client.ts';
import { codeOf, day, digestOf, EAST, everyRole, idOf, keyOf, LAB, PEOPLE, slotOf, START_MS, startNetwork, WEST, type Network } from './network.test-kit.ts';

let network: Network;
let keeper: ContractClient<'hdc'>;
let west: ContractClient<'hdc'>;

beforeAll(async () => {
  network = await startNetwork();
  keeper = hdcClient(network.ledger, { keeper: EAST, signer: await network.signer(EAST, 'system') });
  west = hdcClient(network.ledger, { keeper: WEST, signer: await network.signer(WEST, 'system') });
});
afterAll(() => network.close());

interface Owner {
  readonly signer: LedgerSigner;
  readonly channel: ContractClient<'hdc'>;
  readonly subject: SubjectId;
  readonly items: readonly RecordId[];
}

const recordsOf = (name: string): readonly RecordId[] => [1, 2, 3].map((at) => idOf<RecordId>(`${name} record ${at}`));
const anchor = (id: RecordId, subject: SubjectId, change: Partial<Anchor> = {}): Anchor => ({ id, subject, commitment: digestOf(id), signature: 's'.repeat(96) as Signature, class: 'clinical', ...change });
const refusedBeside = (channel: ContractClient<'hdc'>) => ({ submit: (...given: Parameters<typeof channel.submit>) => codeOf(channel.submit(...given)) });

/** A person with a pairwise certificate, linked, with three anchored records. */
async function linkedOwner(name: string): Promise<Owner> {
  const pseudonym = idOf<PairwiseId>(`pairwise ${name}`);
  const signer = await network.signer(PEOPLE, 'person', pseudonym);
  const subject = idOf<SubjectId>(`subject ${name}`);
  const items = recordsOf(name);
  await keeper.submit('linkOwner', { subject, owner: pseudonym, key: keyOf(signer), linkDigest: digestOf(`link ${name}`) });
  await keeper.submit('anchorRecords', { anchors: items.map((id) => anchor(id, subject)) });
  return { signer, channel: hdcClient(network.ledger, { keeper: EAST, signer }), subject, items };
}

const orderOf = (owner: Owner, name: string, change: Partial<ReleaseOrder> = {}): ReleaseOrder => ({
  grant: idOf<GrantId>(`grant ${name}`), grantDigest: digestOf(name), subject: owner.subject, items: owner.items.slice(0, 2), recipient: LAB, recipientKeyDigest: digestOf('key'),
  purpose: 'research', until: day(20), eraseAt: day(40), slot: slotOf(name), ...change,
});
const releaseOf = (order: ReleaseOrder, change: { items?: readonly RecordId[]; recipientKeyDigest?: Digest } = {}) => ({ grant: order.grant, manifestDigest: digestOf('manifest'), items: order.items, recipientKeyDigest: order.recipientKeyDigest, ...change });

describe('anchors', () => {
  it('stand once; the same batch again is known, another content is refused whole', async () => {
    const subject = idOf<SubjectId>('unlinked');
    const [a, b, c] = recordsOf('batch') as [RecordId, RecordId, RecordId];
    expect((await keeper.submit('anchorRecords', { anchors: [anchor(a, subject), anchor(b, subject)] })).output).toEqual({ anchored: 2, known: 0 });
    expect((await keeper.submit('anchorRecords', { anchors: [anchor(a, subject), anchor(c, subject)] })).output).toEqual({ anchored: 1, known: 1 });
    const fresh = idOf<RecordId>('fresh');
    expect(await codeOf(keeper.submit('anchorRecords', { anchors: [anchor(fresh, subject), anchor(a, subject, { commitment: digestOf('forged') })] }))).toBe('ANCHOR_EXISTS');
    expect((await keeper.evaluate('getAnchors', { ids: [a, fresh] })).anchors.map((found) => found.id)).toEqual([a]);
    expect(await codeOf(keeper.submit('anchorRecords', { anchors: [anchor(fresh, subject), anchor(fresh, subject)] }))).toBe('INPUT_INVALID');
  });

  it('of another are as unknown ones to a person', async () => {
    const ada = await linkedOwner('ada anchors');
    const bob = await linkedOwner('bob anchors');
    const ids = [...ada.items, ...bob.items, idOf<RecordId>('no such record')];
    expect((await ada.channel.evaluate('getAnchors', { ids })).anchors.map((found) => found.id)).toEqual(ada.items);
    expect((await keeper.evaluate('getAnchors', { ids })).anchors).toHaveLength(6);
  });

  it('are listed page by page for the keeper', async () => {
    const seen: string[] = [];
    for (let bookmark = '', first = true; first || bookmark !== ''; first = false) {
      const page = await keeper.evaluate('listAnchors', { bookmark, pageSize: 5 });
      seen.push(...page.anchors.map((found) => found.id));
      bookmark = page.bookmark;
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBeGreaterThanOrEqual(9);
  });

  it('of one hospital are on no other hospital\'s channel', async () => {
    const id = recordsOf('ada anchors')[0] as RecordId;
    expect((await west.evaluate('getAnchors', { ids: [id] })).anchors).toEqual([]);
    expect(await codeOf(hdcClient(network.ledger, { keeper: EAST, signer: await network.signer(WEST, 'system') }).evaluate('getAnchors', { ids: [id] }))).toBe('LEDGER_ACCESS_DENIED');
  });

  it('are in blocks and events for nobody but their hospital: not for the user organisation, whose people are on the channel', async () => {
    const { subject } = await linkedOwner('seen in a block');
    const firstBlock = async (signer: LedgerSigner): Promise<void> => {
      for await (const block of network.ledger.blocks({ channel: 'hdc-east', startBlock: 0, signer })) if (block.number === 0) return;
    };
    const told = async (signer: LedgerSigner): Promise<void> => {
      for await (const event of network.ledger.events({ channel: 'hdc-east', contract: 'hdc', startBlock: 0, signer })) if (fromUtf8(event.payload).includes(subject)) return;
    };
    for (const signer of [network.peerOf(EAST), await network.signer(EAST, 'operator')]) expect(await codeOf(firstBlock(signer))).toBe('allowed');
    expect(await codeOf(told(await network.signer(EAST, 'system')))).toBe('allowed');
    const strangers = (await Promise.all([PEOPLE, WEST, LAB].map(async (org) => [network.peerOf(org), ...(await everyRole(network, org))]))).flat();
    for (const signer of strangers) {
      expect(await codeOf(firstBlock(signer)), signer.mspId).toBe('LEDGER_ACCESS_DENIED');
      expect(await codeOf(told(signer)), signer.mspId).toBe('LEDGER_ACCESS_DENIED');
    }
  });

  it('belong to one owner for good', async () => {
    const { subject } = await linkedOwner('carl');
    expect(await codeOf(keeper.submit('linkOwner', { subject, owner: idOf<PairwiseId>('thief'), key: digestOf('thief\'s key'), linkDigest: digestOf('x') }))).toBe('SUBJECT_LINKED');
    expect((await keeper.evaluate('getOwner', { subject })).owner).toBe(idOf('pairwise carl'));
  });
});

describe('an owner', () => {
  type Ask = (channel: ContractClient<'hdc'>, owner: Owner, order: ReleaseOrder) => Promise<unknown>;
  /** Everything an owner may do, and what it is told when it is not the owner. */
  const asked: readonly { readonly name: string; readonly ask: Ask; readonly refused: string }[] = [
    { name: 'getOwner', ask: (channel, { subject }) => channel.evaluate('getOwner', { subject }), refused: 'NOT_OWNER' },
    { name: 'orderRelease', ask: (channel, owner) => channel.submit('orderRelease', orderOf(owner, 'another')), refused: 'NOT_OWNER' },
    { name: 'orderRelease of a grant that exists', ask: (channel, _, order) => channel.submit('orderRelease', order), refused: 'NOT_OWNER' },
    { name: 'getOrder', ask: (channel, _, { grant }) => channel.evaluate('getOrder', { grant }), refused: 'GRANT_UNKNOWN' },
    { name: 'revokeRelease', ask: (channel, _, { grant }) => channel.submit('revokeRelease', { grant }), refused: 'GRANT_UNKNOWN' },
    { name: 'orderErasure', ask: (channel, { subject, items }) => channel.submit('orderErasure', { subject, items: items.slice(2) }), refused: 'NOT_OWNER' },
  ];
  const as = (signer: LedgerSigner): ContractClient<'hdc'> => hdcClient(network.ledger, { keeper: EAST, signer });
  const nameOf = (name: string): string => idOf(`pairwise ${name}`);
  let owner: Owner;
  let order: ReleaseOrder;

  beforeAll(async () => {
    owner = await linkedOwner('bound');
    order = orderOf(owner, 'bound');
    await owner.channel.submit('orderRelease', order);
  });

  it.each(asked)('is not whom the user organisation certifies under the same name with another key: $name', async ({ ask, refused }) => {
    const impostor = await network.signer(PEOPLE, 'person', nameOf('bound'));
    expect(await codeOf(ask(as(impostor), owner, order))).toBe(refused);
    expect((await as(impostor).evaluate('getAnchors', { ids: owner.items })).anchors).toEqual([]);
    expect((await keeper.evaluate('getOrder', { grant: order.grant })).state).toBe('ordered');
    expect((await keeper.evaluate('getAnchors', { ids: owner.items })).anchors.map(({ state }) => state.erased)).toEqual(['no', 'no', 'no']);
  });

  it.each(asked.filter(({ name }) => !name.includes('exists')))('goes on with a renewed certificate over the same key: $name', async ({ name, ask }) => {
    const own = await linkedOwner(`renewing for ${name}`);
    const ownOrder = orderOf(own, `renewing for ${name}`);
    await own.channel.submit('orderRelease', ownOrder);
    const renewed = as(await network.renewed(own.signer));
    expect(await codeOf(ask(renewed, own, ownOrder))).toBe('allowed');
    expect((await renewed.evaluate('getAnchors', { ids: own.items })).anchors).toHaveLength(3);
  });

  it('with a new key is linked again by its keeper; then the new key alone acts, also on older orders', async () => {
    const old = await linkedOwner('moving');
    const given = orderOf(old, 'moving');
    await old.channel.submit('orderRelease', given);
    const signer = await network.signer(PEOPLE, 'person', nameOf('moving'));
    await keeper.submit('linkOwner', { subject: old.subject, owner: nameOf('moving') as PairwiseId, key: keyOf(signer), linkDigest: digestOf('again') });
    expect(await keeper.evaluate('getOwner', { subject: old.subject })).toEqual({ owner: nameOf('moving'), key: keyOf(signer), linkDigest: digestOf('again') });
    expect(await codeOf(old.channel.submit('revokeRelease', { grant: given.grant }))).toBe('GRANT_UNKNOWN');
    expect(await codeOf(old.channel.submit('orderErasure', { subject: old.subject, items: old.items }))).toBe('NOT_OWNER');
    await as(signer).submit('revokeRelease', { grant: given.grant });
    expect(await codeOf(keeper.submit('recordRelease', releaseOf(given)))).toBe('GRANT_REVOKED');
  });
});

describe('a release', () => {
  it('follows the owner\'s order once', async () => {
    const owner = await linkedOwner('dora');
    const order = orderOf(owner, 'dora');
    await owner.channel.submit('orderRelease', order);
    await keeper.submit('recordRelease', releaseOf(order));
    expect(await owner.channel.evaluate('getOrder', { grant: order.grant })).toMatchObject({ state: 'released', release: { items: order.items } });
    expect(await codeOf(keeper.submit('recordRelease', releaseOf(order)))).toBe('GRANT_REPLAYED');
    expect(await codeOf(owner.channel.submit('orderRelease', order))).toBe('GRANT_EXISTS');
  });

  it('is refused without an order, after revocation, to another key, wider, and for what the owner does not own', async () => {
    const owner = await linkedOwner('emil');
    const stranger = await linkedOwner('stranger');
    const order = orderOf(owner, 'emil');
    expect(await codeOf(keeper.submit('recordRelease', releaseOf(order)))).toBe('GRANT_UNKNOWN');
    expect(await codeOf(stranger.channel.submit('orderRelease', order))).toBe('NOT_OWNER');
    expect(await codeOf(owner.channel.submit('orderRelease', { ...order, items: [...order.items, stranger.items[0] as RecordId] }))).toBe('RECORD_NOT_ANCHORED');
    expect(await codeOf(owner.channel.submit('orderRelease', { ...order, recipient: WEST as OrgId }))).toBe('RECIPIENT_NOT_ALLOWED');
    await owner.channel.submit('orderRelease', order);
    expect(await codeOf(keeper.submit('recordRelease', releaseOf(order, { recipientKeyDigest: digestOf('other key') })))).toBe('GRANT_OTHER_KEY');
    expect(await codeOf(keeper.submit('recordRelease', releaseOf(order, { items: owner.items })))).toBe('GRANT_WIDER');
    expect(await codeOf(stranger.channel.submit('revokeRelease', { grant: order.grant }))).toBe('GRANT_UNKNOWN');
    expect(await codeOf(stranger.channel.evaluate('getOrder', { grant: order.grant }))).toBe('GRANT_UNKNOWN');
    await owner.channel.submit('revokeRelease', { grant: order.grant });
    await owner.channel.submit('revokeRelease', { grant: order.grant });
    expect(await codeOf(keeper.submit('recordRelease', releaseOf(order)))).toBe('GRANT_REVOKED');
  });

  it('is refused to the keeper\'s other roles and to the person', async () => {
    const owner = await linkedOwner('frida');
    const order = orderOf(owner, 'frida');
    await owner.channel.submit('orderRelease', order);
    for (const role of ['staff', 'operator'] as const) {
      const other = hdcClient(network.ledger, { keeper: EAST, signer: await network.signer(EAST, role) });
      expect(await refusedBeside(other).submit('recordRelease', releaseOf(order)), role).toBe('ROLE_NOT_ALLOWED');
      expect(await refusedBeside(other).submit('orderRelease', orderOf(owner, 'forged')), role).toBe('ROLE_NOT_ALLOWED');
    }
    expect(await refusedBeside(owner.channel).submit('recordRelease', releaseOf(order))).toBe('ROLE_NOT_ALLOWED');
    expect(await refusedBeside(keeper).submit('orderRelease', orderOf(owner, 'by the keeper'))).toBe('ROLE_NOT_ALLOWED');
  });

  it('races with its revocation to one order of events: never a release after the revocation', async () => {
    const owner = await linkedOwner('gina');
    const states: string[] = [];
    for (let at = 0; at < 10; at++) {
      const order = orderOf(owner, `race ${at}`);
      await owner.channel.submit('orderRelease', order);
      const [released] = await Promise.all([codeOf(keeper.submit('recordRelease', releaseOf(order))), owner.channel.submit('revokeRelease', { grant: order.grant })]);
      expect(['allowed', 'GRANT_REVOKED']).toContain(released);
      const state = await owner.channel.evaluate('getOrder', { grant: order.grant });
      states.push(state.state);
      expect(state.release === undefined).toBe(released !== 'allowed');
    }
    expect(new Set(states)).toEqual(new Set(['revoked']));
  });
});

describe('time', () => {
  it('is the later of claim and floor: a back-dated claim revives nothing', async () => {
    const own = await startNetwork();
    try {
      const signer = await own.signer(EAST, 'system');
      const pseudonym = idOf<PairwiseId>('pairwise late');
      const person = await own.signer(PEOPLE, 'person', pseudonym);
      const subject = idOf<SubjectId>('late');
      const items = recordsOf('late');
      const system = hdcClient(own.ledger, { keeper: EAST, signer });
      const late: Owner = { signer: person, channel: hdcClient(own.ledger, { keeper: EAST, signer: person }), subject, items };
      await system.submit('linkOwner', { subject, owner: pseudonym, key: keyOf(person), linkDigest: digestOf('l') });
      await system.submit('anchorRecords', { anchors: items.map((id) => anchor(id, subject)) });
      const order = orderOf(late, 'late', { until: day(2) });
      await late.channel.submit('orderRelease', order);
      await system.submit('setTimeFloor', { at: day(3) });
      const backDated = own.clientAt(fakeClock(START_MS));
      expect(await codeOf(hdcClient(backDated, { keeper: EAST, signer }).submit('recordRelease', releaseOf(order)))).toBe('GRANT_EXPIRED');
      expect(await codeOf(hdcClient(backDated, { keeper: EAST, signer: person }).submit('orderRelease', orderOf(late, 'later', { until: day(3) })))).toBe('GRANT_EXPIRED');
      expect(await codeOf(system.submit('setTimeFloor', { at: day(1) }))).toBe('TIME_FLOOR_BACK');
    } finally {
      await own.close();
    }
  });

  it('without a floor is the claim', async () => {
    const owner = await linkedOwner('hans');
    const order = orderOf(owner, 'hans', { until: day(2) });
    await owner.channel.submit('orderRelease', order);
    const ahead = network.clientAt(fakeClock(START_MS + 3 * 86_400_000));
    expect(await codeOf(hdcClient(ahead, { keeper: EAST, signer: await network.signer(EAST, 'system') }).submit('recordRelease', releaseOf(order)))).toBe('GRANT_EXPIRED');
  });
});

describe('the access log', () => {
  it('is one chain of heads', async () => {
    await keeper.submit('logAccess', { from: 0, to: 9, head: digestOf('head 9') });
    await keeper.submit('logAccess', { from: 0, to: 9, head: digestOf('head 9') });
    expect(await codeOf(keeper.submit('logAccess', { from: 0, to: 9, head: digestOf('rewritten') }))).toBe('ACCESS_LOG_GAP');
    expect(await codeOf(keeper.submit('logAccess', { from: 11, to: 12, head: digestOf('head 12') }))).toBe('ACCESS_LOG_GAP');
    await keeper.submit('logAccess', { from: 10, to: 12, head: digestOf('head 12') });
    expect(await (await linkedOwner('ida')).channel.evaluate('getAccessHead', {})).toEqual({ to: 12, head: digestOf('head 12') });
    expect(await west.evaluate('getAccessHead', {})).toBeNull();
  });
});

describe('erasure', () => {
  it('is ordered by the owner, done by the keeper, and ends every release of the record', async () => {
    const owner = await linkedOwner('jan');
    const stranger = await linkedOwner('other than jan');
    const [first, second] = owner.items as [RecordId, RecordId];
    const receiptDigest = digestOf('receipt');
    const order = orderOf(owner, 'jan');
    await owner.channel.submit('orderRelease', order);
    expect(await codeOf(keeper.submit('recordErasure', { items: [first], receiptDigest }))).toBe('ERASURE_NOT_ORDERED');
    expect(await codeOf(stranger.channel.submit('orderErasure', { subject: owner.subject, items: [first] }))).toBe('NOT_OWNER');
    expect(await codeOf(stranger.channel.submit('orderErasure', { subject: stranger.subject, items: [first] }))).toBe('RECORD_NOT_ANCHORED');
    await owner.channel.submit('orderErasure', { subject: owner.subject, items: [first] });
    expect(await codeOf(keeper.submit('recordRelease', releaseOf(order)))).toBe('RECORD_ERASED');
    await keeper.submit('recordErasure', { items: [first], receiptDigest });
    await keeper.submit('recordErasure', { items: [first], receiptDigest });
    expect(await codeOf(keeper.submit('recordErasure', { items: [first], receiptDigest: digestOf('another') }))).toBe('RECORD_ERASED');
    expect(await codeOf(owner.channel.submit('orderErasure', { subject: owner.subject, items: [first] }))).toBe('RECORD_ERASED');
    expect(await codeOf(owner.channel.submit('orderRelease', orderOf(owner, 'jan again', { items: [first] })))).toBe('RECORD_ERASED');
    const { anchors } = await owner.channel.evaluate('getAnchors', { ids: [first, second] });
    expect(anchors.map((found) => found.state.erased)).toEqual(['done', 'no']);
    await keeper.submit('recordRelease', releaseOf(order, { items: [second] }));
  });
});
