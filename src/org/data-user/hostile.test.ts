/** Owners who seal nonsense and a keeper that cheats, with the keys of a real member: what the data user then says. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromBase64url, fromUtf8, toBase64url, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import type { Fetch } from '#base/ports.ts';
import { conClient, drcClient } from '#contracts/client.ts';
import { sha256 } from '#crypto/digest.ts';
import { generateHpkeKeyPair, openFrom, sealTo, type HpkeKeyPair } from '#crypto/hpke.ts';
import { generateSigningKey } from '#crypto/keys.ts';
import { createSigner } from '#ledger/signer.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { GrantId, instant, type Digest, type MailboxHandle, type OrgId, type RecordId, type SlotTag, type SubjectId } from '#model/ids.ts';
import { ANSWER_BYTES, Invitation, SLOT_BYTES, type Answer, type ReleasedItem, type ReleaseManifest } from '#model/messages.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';
import { EAST, USER_ORG, WEST } from '#sim/members.ts';
import { systemRandom } from '#sim/seams.ts';
import { answerBinding, invitationBinding, slotBinding } from '#model/bindings.ts';
import { id16, id32, keeperWith, serve, type Served, type TestKeeper, type TestRecord, type TestRelease } from './keeper.test-kit.ts';
import { DAY_MS, INSURER, openDataUserWorld, order, type DataUserWorld, type Running } from './world.test-kit.ts';

let kit: DataUserWorld;
let running: Running;
let keeper: TestKeeper;
let strangers = 5_000;
const served: Served[] = [];

const identityOf = (org: OrgId): KeptOrgIdentity => kit.world.network.identities.get(org) as KeptOrgIdentity;
const now = (): number => kit.world.clock.now();

beforeAll(async () => {
  kit = await openDataUserWorld('hostile');
  // Two members are one here: the keeper's address answers with what the test serves.
  const east = kit.world.network.urls.get(EAST.org) as string;
  const fetch: Fetch = (request) => (request.url.startsWith(`${east}/v1/releases/`) ? serve(served)(request) : kit.world.wire.fetch(request));
  running = await kit.open(kit.disk(), { fetch });
  await running.dataUser.start();
  keeper = keeperWith(identityOf(EAST.org), { random: systemRandom });
}, 60_000);
afterAll(async () => {
  await running?.dataUser.close();
  await kit?.close();
});

interface RawSlot {
  readonly slot: SlotTag;
  readonly signer: LedgerSigner;
  readonly pair: HpkeKeyPair;
}

async function openSlot(change: { readonly sealed?: string; readonly mailbox?: MailboxHandle } = {}): Promise<RawSlot> {
  const key = await generateSigningKey();
  const certificate = await identityOf(USER_ORG.org).ca.issue({ commonName: id16(systemRandom), organizationalUnit: 'client', attributes: { 'hk.role': 'person' }, publicKey: key.publicKey, notBefore: now(), days: 40 });
  const signer = createSigner({ mspId: USER_ORG.org, certificate, privateKey: key.privateKey });
  const slot = id32(systemRandom) as SlotTag;
  const pair = await generateHpkeKeyPair();
  const capability = { kind: 'slot', contact: id16(systemRandom), ordinal: 0, quota: 1, hpkePublicKey: toBase64url(pair.publicKey), mailbox: change.mailbox ?? id32(systemRandom) };
  const sealed = change.sealed ?? toBase64url(await sealTo({ recipientPublicKey: identityOf(INSURER.org).hpke.publicKey, ...slotBinding(slot), plaintext: canonicalBytes(capability), envelopeBytes: SLOT_BYTES }));
  await drc(signer).submit('openSlot', { slot, duo: INSURER.org, templates: [kit.ref], notBefore: instant(now() - 1_000), until: instant(now() + DAY_MS), sealed });
  return { slot, signer, pair };
}

const drc = (signer: LedgerSigner) => drcClient(kit.world.network.client, signer);
const invite = ({ slot }: RawSlot) => running.api.invite({ params: { slot }, body: order(kit.world, kit.ref) });
const receive = ({ slot }: RawSlot) => running.api.receive({ params: { slot }, body: {} });

async function invitationIn({ slot, signer, pair }: RawSlot): Promise<Invitation> {
  const state = await drc(signer).evaluate('getSlot', { slot });
  return Invitation.parse(JSON.parse(fromUtf8(await openFrom({ privateKey: pair.privateKey, ...invitationBinding(slot), envelope: fromBase64url(state.invitation?.sealed as string) }))));
}

interface Reply {
  readonly parts?: Answer['parts'];
  readonly change?: Partial<Answer>;
  readonly sealed?: string;
  readonly keyDigest?: Digest;
}
const ERASE_DAYS = 90;

async function respond(raw: RawSlot, { parts = [], change = {}, sealed, keyDigest }: Reply): Promise<void> {
  const invitation = await invitationIn(raw);
  const recipientPublicKey = fromBase64url(invitation.recipientPublicKey);
  const answer = { kind: 'answer', slot: raw.slot, decision: 'all', parts, ...change };
  const envelope = sealed ?? toBase64url(await sealTo({ recipientPublicKey, ...answerBinding(raw.slot), plaintext: canonicalBytes(answer as unknown as Json), envelopeBytes: ANSWER_BYTES }));
  const recipientKeyDigest = keyDigest ?? (toBase64url(sha256(recipientPublicKey)) as Digest);
  await drc(raw.signer).submit('respond', { slot: raw.slot, decision: 'all', grantCommitment: id32(systemRandom) as Digest, recipientKeyDigest, until: instant(now() + 7 * DAY_MS), eraseAt: eraseAt(), sealed: envelope });
}
let erasing: ReturnType<typeof instant> | undefined;
const eraseAt = (): ReturnType<typeof instant> => (erasing ??= instant(now() + ERASE_DAYS * DAY_MS));

const noise = (bytes: number): string => toBase64url(systemRandom.bytes(bytes));

describe('an owner who seals nonsense', () => {
  it('opens a slot that nobody can be invited by, and that is not shown', async () => {
    const raw = await openSlot({ sealed: noise(SLOT_BYTES) });
    await running.dataUser.caughtUp((await kit.world.network.ledger.height('drc')) - 1);
    expect((await running.api.board()).rows.some(({ slot }) => slot === raw.slot)).toBe(false);
    await expect(invite(raw)).rejects.toMatchObject({ code: 'SLOT_UNREADABLE' });
    expect((await drc(raw.signer).evaluate('getSlot', { slot: raw.slot })).phase).toBe('open');
  });

  it('is invited even when the mailbox does not exist: the notice only wakes', async () => {
    const raw = await openSlot();
    await invite(raw);
    expect((await invitationIn(raw)).requester).toBe(INSURER.org);
  });

  const answers: readonly (readonly [what: string, make: (raw: RawSlot) => Promise<Reply> | Reply])[] = [
    ['noise', () => ({ sealed: noise(ANSWER_BYTES) })],
    ['an answer to another slot', () => ({ change: { slot: id32(systemRandom) as SlotTag } })],
    ['another decision than the ledger\'s', () => ({ change: { decision: 'narrower' } })],
    ['the digest of another key', () => ({ keyDigest: id32(systemRandom) as Digest })],
    ['one grant twice', () => {
      const part = { keeper: EAST.org, grant: GrantId.parse(id16(systemRandom)), ticket: id32(systemRandom) as Digest, items: 1 };
      return { parts: [part, part] };
    }],
    ['no JSON of the protocol', () => ({ change: { kind: 'yes' as 'answer' } })],
  ];
  it.each(answers)('answers with %s, which is named', async (_, make) => {
    const raw = await openSlot();
    await invite(raw);
    await respond(raw, await make(raw));
    await expect(receive(raw)).rejects.toMatchObject({ code: 'ANSWER_UNREADABLE' });
  });

  it('names a keeper that knows nothing of the grant, which may come later', async () => {
    const raw = await openSlot();
    await invite(raw);
    await respond(raw, { parts: [{ keeper: WEST.org, grant: GrantId.parse(id16(systemRandom)), ticket: id32(systemRandom) as Digest, items: 1 }] });
    await expect(receive(raw)).rejects.toMatchObject({ code: 'PACKAGE_INCOMPLETE', details: { keepers: [{ keeper: WEST.org, code: 'GRANT_UNKNOWN' }] } });
  });
});

interface Cheat {
  /** Items that the owner granted, of the three that the keeper has. */
  readonly granted?: number;
  readonly list?: (items: readonly ReleasedItem[]) => readonly ReleasedItem[];
  readonly manifest?: Partial<ReleaseManifest>;
  readonly bodies?: (records: readonly TestRecord[]) => ReadonlyMap<RecordId, Bytes>;
  /** Leaves the checkpoint unpublished. */
  readonly unpublished?: boolean;
  readonly release?: Partial<TestRelease>;
}

/** A slot answered with one grant at the cheating keeper, which releases three records for it. */
async function cheated(cheat: Cheat): Promise<{ readonly raw: RawSlot; readonly records: readonly TestRecord[] }> {
  const raw = await openSlot();
  await invite(raw);
  const { recipientPublicKey } = await invitationIn(raw);
  const release: TestRelease = { grant: GrantId.parse(id16(systemRandom)), slot: raw.slot, recipient: INSURER.org, recipientPublicKey: fromBase64url(recipientPublicKey), purpose: 'underwriting', eraseAt: eraseAt() };
  const subject = id16(systemRandom) as SubjectId;
  const records = await Promise.all(['one', 'two', 'three'].map((content) => keeper.record('Observation', content, subject)));
  strangers += 100;
  const { proofs, checkpoint } = await keeper.prove(records, strangers);
  if (cheat.unpublished !== true) {
    const { org: _, ...input } = checkpoint;
    await conClient(kit.world.network.client, identityOf(EAST.org).system).submit('putCheckpoint', input);
  }
  const items = await Promise.all(records.map((record) => keeper.item(record, { ...release, ...cheat.release })));
  const manifest = await keeper.manifest(release, subject, cheat.list?.(items) ?? items, cheat.manifest);
  const ticket = id32(systemRandom) as Digest;
  served.push({ grant: release.grant, ticket, manifest, proofs, bodies: cheat.bodies?.(records) ?? new Map(records.map((record) => [record.id, record.ciphertext])) });
  await respond(raw, { parts: [{ keeper: EAST.org, grant: release.grant, ticket, items: cheat.granted ?? 3 }] });
  return { raw, records };
}

/** What each of the three records is said to be: good, a code, or not mentioned. */
async function verdicts(cheat: Cheat): Promise<{ readonly codes: readonly string[]; readonly received: Awaited<ReturnType<typeof receive>> }> {
  const { raw, records } = await cheated(cheat);
  const received = await receive(raw);
  const codes = records.map(({ id }) => {
    const item = received.items.find(({ record }) => record === id);
    return item === undefined ? '-' : item.good ? 'good' : (item.code as string);
  });
  const { receipt } = await drc(raw.signer).evaluate('getSlot', { slot: raw.slot });
  expect(receipt?.verified).toBe(codes.filter((code) => code === 'good').length);
  return { codes, received };
}

/** The first two change places; they are equally long. */
const swapped = (records: readonly TestRecord[]): ReadonlyMap<RecordId, Bytes> => new Map(records.map((record, at) => [record.id, (records[[1, 0, 2][at] as number] as TestRecord).ciphertext]));

const cheats: readonly (readonly [what: string, cheat: Cheat, codes: readonly string[]])[] = [
  ['does what it should', {}, ['good', 'good', 'good']],
  ['does not hand over an item that it lists', { bodies: (records) => new Map(records.slice(1).map((record) => [record.id, record.ciphertext])) }, ['ITEM_MISSING', 'good', 'good']],
  ['lists more than was granted', { granted: 2 }, ['MANIFEST_WIDER', 'MANIFEST_WIDER', 'MANIFEST_WIDER']],
  ['lists one item twice', { list: ([one, two]) => [one, two, two] as ReleasedItem[] }, ['MANIFEST_REPEATS', 'MANIFEST_REPEATS', '-']],
  ['swaps two bodies', { bodies: swapped }, ['ITEM_BODY', 'ITEM_BODY', 'good']],
  ['swaps two sets of keys', { list: ([one, two, three]) => [{ ...one, wrappedKeys: two?.wrappedKeys }, { ...two, wrappedKeys: one?.wrappedKeys }, three] as ReleasedItem[] }, ['ITEM_ENVELOPE', 'ITEM_ENVELOPE', 'good']],
  ['releases under another grant', { release: { grant: GrantId.parse('A'.repeat(22)) } }, ['ITEM_ENVELOPE', 'ITEM_ENVELOPE', 'ITEM_ENVELOPE']],
  ['releases for another purpose', { manifest: { purpose: 'research' } }, ['MANIFEST_OTHER_PURPOSE', 'MANIFEST_OTHER_PURPOSE', 'MANIFEST_OTHER_PURPOSE']],
  ['does not publish its checkpoint', { unpublished: true }, ['ITEM_CHECKPOINT_UNPUBLISHED', 'ITEM_CHECKPOINT_UNPUBLISHED', 'ITEM_CHECKPOINT_UNPUBLISHED']],
];

describe('a keeper that', () => {
  it.each(cheats)('%s', async (_, cheat, codes) => {
    expect((await verdicts(cheat)).codes).toEqual(codes);
  });

  it('lists fewer items than granted is named with both numbers', async () => {
    const { codes, received } = await verdicts({ list: (items) => items.slice(1) });
    expect(codes).toEqual(['-', 'good', 'good']);
    expect(received.short).toEqual([{ keeper: EAST.org, granted: 3, listed: 2 }]);
  });
});
