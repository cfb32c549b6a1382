import { beforeAll, describe, expect, it } from 'vitest';
import { fromBase64url, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import type { LeafProof } from '#api/endpoints.ts';
import { generateHpkeKeyPair, type HpkeKeyPair } from '#crypto/hpke.ts';
import { signNote } from '#crypto/checkpoint.ts';
import { sha256 } from '#crypto/digest.ts';
import type { CheckpointState } from '#model/con.ts';
import type { Digest, GrantId, Instant, OrgId, RecordId, SlotTag, SubjectId } from '#model/ids.ts';
import type { ReleasedItem, ReleaseManifest, Signed } from '#model/messages.ts';
import { fakeClock, seededRandom } from '#sim/seams.ts';
import { id16, id32, makeKeeper, makeSigner, trustIn, type TestKeeper, type TestRecord, type TestRelease } from './keeper.test-kit.ts';
import { checkManifest, verifyItem, type ManifestExpectation } from './verify.ts';

const clock = fakeClock(Date.UTC(2027, 2, 1));
const random = seededRandom('verify');
const EAST = 'HO-east' as OrgId;
const WEST = 'HO-west' as OrgId;
const OTHER = '2027-09-09T00:00:00.000Z' as Instant;

let keeper: TestKeeper;
let other: TestKeeper;
let keys: HpkeKeyPair;
let release: TestRelease;
let subject: SubjectId;
let records: readonly TestRecord[];
let items: readonly ReleasedItem[];
let proofs: readonly LeafProof[];
let checkpoint: CheckpointState;
let expected: ManifestExpectation;

beforeAll(async () => {
  keeper = await makeKeeper(EAST, { clock, random });
  other = await makeKeeper(WEST, { clock, random });
  keys = await generateHpkeKeyPair();
  subject = id16(random) as SubjectId;
  release = { grant: id16(random) as GrantId, slot: id32(random) as SlotTag, recipient: 'DUO-insurer' as OrgId, recipientPublicKey: keys.publicKey, purpose: 'underwriting', eraseAt: '2027-06-01T00:00:00.000Z' as Instant };
  records = [await keeper.record('Observation', '{"resourceType":"Observation","value":5.4}', subject), await keeper.record('Condition', '{"resourceType":"Condition"}', subject)];
  ({ proofs, checkpoint } = await keeper.prove(records));
  items = await Promise.all(records.map((record) => keeper.item(record, release)));
  expected = { keeper: EAST, grant: release.grant, slot: release.slot, recipient: release.recipient, recipientKeyDigest: toBase64url(sha256(keys.publicKey)) as Digest, purpose: release.purpose, eraseAt: release.eraseAt, items: 2 };
});

/** One delivery that may be altered anywhere. */
interface Delivery {
  signed: Signed;
  item: ReleasedItem;
  ciphertext: Bytes;
  proof: LeafProof | undefined;
  checkpoints: CheckpointState[];
}

async function delivery(change: { readonly manifest?: Partial<ReleaseManifest>; readonly items?: readonly ReleasedItem[] } = {}): Promise<Delivery> {
  const listed = change.items ?? items;
  return { signed: await keeper.manifest(release, subject, listed, change.manifest), item: listed[0] as ReleasedItem, ciphertext: (records[0] as TestRecord).ciphertext, proof: proofs[0], checkpoints: [checkpoint] };
}

async function outcome({ signed, item, ciphertext, proof, checkpoints }: Delivery): Promise<string> {
  const trust = trustIn([keeper, other], checkpoints, clock);
  try {
    const checked = await checkManifest(signed, expected, trust);
    const bytes = await verifyItem({ checked, item: checked.manifest.items.find((one) => one.id === item.id) ?? item, ciphertext, proof, privateKey: keys.privateKey }, trust);
    expect(bytes).toEqual((records[0] as TestRecord).bytes);
    return 'good';
  } catch (error) {
    if (isCoded(error)) return error.code;
    throw error;
  }
}

const flipped = (bytes: Bytes, at: number): Bytes => bytes.map((byte, index) => (index === at ? byte ^ 1 : byte)) as Bytes;
const flip = (text: string, at = 5): string => toBase64url(flipped(fromBase64url(text), at));
const withItem = (change: Partial<ReleasedItem>): Promise<Delivery> => delivery({ items: [{ ...(items[0] as ReleasedItem), ...change }, items[1] as ReleasedItem] });
const withProof = async (change: Partial<LeafProof>): Promise<Delivery> => ({ ...(await delivery()), proof: { ...(proofs[0] as LeafProof), ...change } });
const first = (): TestRecord => records[0] as TestRecord;
const second = (): TestRecord => records[1] as TestRecord;

/** Every place at which a delivery can be altered, and the code that names it. */
const alterations: readonly (readonly [what: string, code: string, make: () => Promise<Delivery>])[] = [
  ['nothing altered', 'good', () => delivery()],
  // The body.
  ['one bit of the body', 'ITEM_BODY', async () => ({ ...(await delivery()), ciphertext: flipped(first().ciphertext, first().ciphertext.length - 3) })],
  ['one bit of the body\'s header', 'ITEM_BODY', async () => ({ ...(await delivery()), ciphertext: flipped(first().ciphertext, 2) })],
  ['a truncated body', 'ITEM_LENGTH', async () => ({ ...(await delivery()), ciphertext: first().ciphertext.slice(0, -1) })],
  ['a longer body', 'ITEM_LENGTH', async () => ({ ...(await delivery()), ciphertext: new Uint8Array([...first().ciphertext, 0]) })],
  ['the body of another item', 'ITEM_BODY', async () => ({ ...(await withItem({ cipherBytes: second().ciphertext.length })), ciphertext: second().ciphertext })],
  ['another plain length', 'ITEM_LENGTH', () => withItem({ plainBytes: 7 })],
  // The envelope.
  ['one bit of the envelope', 'ITEM_ENVELOPE', () => withItem({ wrappedKeys: flip((items[0] as ReleasedItem).wrappedKeys, 400) })],
  ['the envelope of another item', 'ITEM_ENVELOPE', () => withItem({ wrappedKeys: (items[1] as ReleasedItem).wrappedKeys })],
  ['an envelope of another grant', 'ITEM_ENVELOPE', async () => withItem({ wrappedKeys: (await keeper.item(first(), { ...release, grant: id16(random) as GrantId })).wrappedKeys })],
  ['an envelope for another recipient', 'ITEM_ENVELOPE', async () => withItem({ wrappedKeys: (await keeper.item(first(), { ...release, recipient: 'DUO-other' as OrgId })).wrappedKeys })],
  ['an envelope for another purpose', 'ITEM_ENVELOPE', async () => withItem({ wrappedKeys: (await keeper.item(first(), { ...release, purpose: 'research' })).wrappedKeys })],
  ['an envelope to another key', 'ITEM_ENVELOPE', async () => withItem({ wrappedKeys: (await keeper.item(first(), { ...release, recipientPublicKey: (await generateHpkeKeyPair()).publicKey })).wrappedKeys })],
  ['no envelope', 'ITEM_ENVELOPE', () => withItem({ wrappedKeys: '' })],
  // Commitment and signature.
  ['another commitment', 'ITEM_COMMITMENT', () => withItem({ commitment: flip((items[0] as ReleasedItem).commitment) as Digest })],
  ['another resource type', 'ITEM_COMMITMENT', () => withItem({ resourceType: 'Condition' })],
  ['another verification key', 'ITEM_COMMITMENT', async () => withItem({ wrappedKeys: (await keeper.item({ ...first(), verificationKey: random.bytes(32) }, release)).wrappedKeys })],
  ['one bit of the signature', 'ITEM_SIGNATURE', () => withItem({ signature: flip((items[0] as ReleasedItem).signature, 20) })],
  ['another item\'s signature', 'ITEM_SIGNATURE', () => withItem({ signature: (items[1] as ReleasedItem).signature })],
  // A record made up afterwards: everything fits but the anchor.
  ['a record that was never anchored', 'ITEM_ANCHOR_OTHER', async () => {
    const forged = await keeper.record('Observation', '{"resourceType":"Observation","value":9.9}', subject);
    const swapped = { ...(await keeper.item(forged, release)), id: first().id };
    return { ...(await delivery({ items: [{ ...swapped, id: forged.id }] })), ciphertext: forged.ciphertext };
  }],
  // The anchor.
  ['no proof', 'ITEM_ANCHOR_MISSING', async () => ({ ...(await delivery()), proof: undefined })],
  ['another item\'s proof', 'ITEM_ANCHOR_OTHER', async () => ({ ...(await delivery()), proof: proofs[1] })],
  ['another channel', 'ITEM_ANCHOR_OTHER', () => withProof({ channel: 'hdc-west' })],
  ['another contract\'s state', 'ITEM_ANCHOR_OTHER', () => withProof({ namespace: 'con' })],
  ['another block', 'ITEM_ANCHOR_OTHER', () => withProof({ block: 4 })],
  ['a leaf without value', 'ITEM_ANCHOR_OTHER', () => withProof({ value: null })],
  ['a leaf with another value', 'ITEM_ANCHOR_OTHER', () => withProof({ value: toBase64url(utf8('{}')) })],
  ['a leaf with another subject', 'ITEM_ANCHOR_OTHER', () => withProof({ value: toBase64url(utf8(new TextDecoder().decode(fromBase64url((proofs[0] as LeafProof).value as string)).replace(subject, 'A'.repeat(22)))) })],
  ['a leaf that says the record is erased', 'ITEM_ANCHOR_PATH', () => withProof({ value: toBase64url(utf8(new TextDecoder().decode(fromBase64url((proofs[0] as LeafProof).value as string)).replace('"no"', '"done"'))) })],
  ['another transaction', 'ITEM_ANCHOR_PATH', () => withProof({ tx: 9 })],
  ['another place in the tree', 'ITEM_ANCHOR_PATH', () => withProof({ leafIndex: 0 })],
  ['another size', 'ITEM_ANCHOR_PATH', () => withProof({ size: 99 })],
  ['one bit of the path', 'ITEM_ANCHOR_PATH', () => withProof({ path: (proofs[0] as LeafProof).path.map((hash, at) => (at === 0 ? (flip(hash) as Digest) : hash)) })],
  ['a shorter path', 'ITEM_ANCHOR_PATH', () => withProof({ path: (proofs[0] as LeafProof).path.slice(1) })],
  // The checkpoint.
  ['a checkpoint of another size', 'ITEM_ANCHOR_PATH', () => withProof({ checkpoint: (proofs[0] as LeafProof).checkpoint.replace(`\n${checkpoint.size}\n`, '\n77\n') })],
  ['a checkpoint of another channel', 'ITEM_ANCHOR_PATH', () => withProof({ checkpoint: (proofs[0] as LeafProof).checkpoint.replace('hdc-east', 'hdc-west') })],
  ['an unreadable checkpoint', 'ITEM_ANCHOR_PATH', () => withProof({ checkpoint: 'x' })],
  ['a checkpoint of another height', 'ITEM_CHECKPOINT_SIGNATURE', () => withProof({ checkpoint: (proofs[0] as LeafProof).checkpoint.replace('height 4', 'height 5') })],
  ['an unsigned checkpoint', 'ITEM_CHECKPOINT_SIGNATURE', () => withProof({ checkpoint: unsigned((proofs[0] as LeafProof).checkpoint) })],
  ['a checkpoint signed by another keeper', 'ITEM_CHECKPOINT_SIGNATURE', async () => withProof({ checkpoint: await signNote(unsigned((proofs[0] as LeafProof).checkpoint), { name: WEST, certificate: other.peer.certificate, sign: (message) => other.peer.sign(message) }) })],
  ['a checkpoint signed by another keeper in this one\'s name', 'ITEM_CHECKPOINT_SIGNATURE', async () => withProof({ checkpoint: await signNote(unsigned((proofs[0] as LeafProof).checkpoint), { name: EAST, certificate: other.peer.certificate, sign: (message) => other.peer.sign(message) }) })],
  ['a checkpoint signed by the keeper\'s system key', 'ITEM_CHECKPOINT_SIGNATURE', async () => withProof({ checkpoint: await signNote(unsigned((proofs[0] as LeafProof).checkpoint), { name: EAST, certificate: keeper.system.certificate, sign: (message) => keeper.system.sign(message) }) })],
  ['a checkpoint that is not on CON', 'ITEM_CHECKPOINT_UNPUBLISHED', async () => ({ ...(await delivery()), checkpoints: [] })],
  ['another root on CON', 'ITEM_CHECKPOINT_UNPUBLISHED', async () => ({ ...(await delivery()), checkpoints: [{ ...checkpoint, root: flip(checkpoint.root) as Digest }] })],
  ['the same checkpoint under another member\'s name', 'ITEM_CHECKPOINT_UNPUBLISHED', async () => ({ ...(await delivery()), checkpoints: [{ ...checkpoint, org: WEST }] })],
  // The manifest.
  ['a manifest of another keeper', 'MANIFEST_OTHER_KEEPER', () => delivery({ manifest: { keeper: WEST } })],
  ['a manifest of another grant', 'MANIFEST_OTHER_GRANT', () => delivery({ manifest: { grant: id16(random) as GrantId } })],
  ['a manifest of another slot', 'MANIFEST_OTHER_SLOT', () => delivery({ manifest: { slot: id32(random) as SlotTag } })],
  ['a manifest for another recipient', 'MANIFEST_OTHER_RECIPIENT', () => delivery({ manifest: { recipient: 'DUO-other' as OrgId } })],
  ['a manifest for another key', 'MANIFEST_OTHER_KEY', () => delivery({ manifest: { recipientKeyDigest: id32(random) as Digest } })],
  ['a manifest for another purpose', 'MANIFEST_OTHER_PURPOSE', () => delivery({ manifest: { purpose: 'research' } })],
  ['a manifest with another time of erasure', 'MANIFEST_OTHER_TERMS', () => delivery({ manifest: { eraseAt: OTHER } })],
  ['a manifest of another subject', 'ITEM_ANCHOR_OTHER', () => delivery({ manifest: { subject: id16(random) as SubjectId } })],
  ['an item twice', 'MANIFEST_REPEATS', () => delivery({ items: [items[0] as ReleasedItem, items[0] as ReleasedItem] })],
  ['more items than granted', 'MANIFEST_WIDER', async () => delivery({ items: [...items, { ...(items[0] as ReleasedItem), id: id16(random) as RecordId }] })],
  ['a manifest of another form', 'MANIFEST_MALFORMED', () => delivery({ manifest: { kind: 'list' as 'manifest' } })],
  ['one letter of the signed text', 'MANIFEST_SIGNATURE', async () => altered(await delivery(), (signed) => ({ ...signed, payload: signed.payload.replace('Observation', 'Observatiom') }))],
  ['the same text with another spacing', 'MANIFEST_SIGNATURE', async () => altered(await delivery(), (signed) => ({ ...signed, payload: ` ${signed.payload}` }))],
  ['one bit of the manifest\'s signature', 'MANIFEST_SIGNATURE', async () => altered(await delivery(), (signed) => ({ ...signed, signature: flip(signed.signature, 12) }))],
  ['a manifest signed by another member', 'MANIFEST_SIGNER', async () => ({ ...(await delivery()), signed: await other.manifest(release, subject, items, { keeper: EAST }) })],
  ['a manifest signed by a member of the keeper\'s staff', 'MANIFEST_SIGNER', async () => {
    const staff = await makeSigner(keeper.ca, 'client', 'staff', clock);
    const { signJson } = await import('#crypto/signed-json.ts');
    const { signed } = await delivery();
    return { ...(await delivery()), signed: (await signJson(JSON.parse(signed.payload), staff)) as Signed };
  }],
];

const altered = (whole: Delivery, change: (signed: Signed) => Signed): Delivery => ({ ...whole, signed: change(whole.signed) });
const unsigned = (note: string): string => note.slice(0, note.lastIndexOf('\n\n') + 1);

describe('a delivered item', () => {
  it.each(alterations)('%s: %s', async (_, code, make) => {
    expect(await outcome(await make())).toBe(code);
  });

  it('is refused once the keeper\'s certificate has expired', async () => {
    const whole = await delivery();
    clock.advance(40 * 86_400_000);
    expect(await outcome(whole)).toBe('MANIFEST_SIGNER');
    clock.advance(-40 * 86_400_000);
    expect(await outcome(whole)).toBe('good');
  });
});
