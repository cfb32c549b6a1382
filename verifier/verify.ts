/**
 * Checks a healthkeep proof file without any server and without the code that made it (docs/protocol.md):
 *   node verifier/verify.ts proof.json --genesis genesis.json [--record record.json]
 * The genesis file is the reader's own knowledge of who the members are: {"kind":"healthkeep-genesis","version":1,
 * "members":[{"org","rootCertificate"}]}. Without it the file is held only against the roots it names itself, and the
 * answer says so. Exit codes: 0 everything holds, 2 wrong use, 6 refused.
 */
import { readFileSync, realpathSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { check, checkIssued, readCertificate, refuse, signatureHolds } from './certificate.ts';
import { beginsWith, bytesOf, canonical, checkLeaf, checkSignatures, checkSigned, fields, hmac, lengthPrefixed, memberOf, readCheckpoint, readMembers, rootOfMember, sha256, type Leaf, type Members } from './evidence.ts';

/** What was found to hold, one sentence each, in order, and the first thing that does not. */
export type Verdict = { readonly good: boolean; readonly steps: readonly string[]; readonly refusal?: string };
/** Texts of the proof and genesis files, and the record itself, when the reader has it. */
export type Inputs = { readonly file: string; readonly genesis?: string; readonly record?: Buffer };
/** Never throws: what cannot be read or does not hold is a refusal. */
export function verifyFile(inputs: Inputs): Verdict {
  const steps: string[] = [];
  try {
    const file: unknown = JSON.parse(inputs.file);
    const kind = (file as { readonly kind?: unknown } | null)?.kind;
    const kinds = new Map([['healthkeep-proof', verifyProof], ['healthkeep-consent-receipt', verifyConsent], ['healthkeep-fork', verifyFork]]);
    (kinds.get(String(kind)) ?? refuse('The file is no healthkeep proof, consent receipt or proof of a fork.'))(file, inputs, steps);
    return { good: true, steps };
  } catch (error) {
    return { good: false, steps, refusal: error instanceof Error ? error.message : String(error) };
  }
}

const RECORD = { id: 'text', keeper: 'text', subject: 'text', resourceType: 'text', class: 'text', certificate: 'text', signature: 'text', contentDigest: 'digest', verificationKey: 'digest', commitment: 'digest' } as const;

/** content → commitment → keeper's signature → ledger state → its channel's tree → the keeper's checkpoint → CON's tree → members. */
function verifyProof(file: unknown, inputs: Inputs, steps: string[]): void {
  const proof = fields(file, { kind: 'text', version: 'count', record: 'object', anchor: 'object', pinned: 'object', members: 'list' }, 'proof');
  check(proof.version === 1, 'The proof is of a version this verifier does not know.');
  const members = pinnedMembers(proof.members, inputs.genesis, steps);
  const record = fields(proof.record, RECORD, 'record');
  const { keeper } = record;
  if (inputs.record !== undefined) {
    check(sha256(inputs.record).equals(bytesOf(record.contentDigest)), 'The record given is not the one this proof is about.');
    steps.push('The record is, byte by byte, the one this proof is about.');
  }
  const metadata = canonical({ keeper, record: record.id, subject: record.subject, resourceType: record.resourceType, class: record.class });
  const commitment = hmac(bytesOf(record.verificationKey), lengthPrefixed('healthkeep/v1/commitment', bytesOf(record.contentDigest), metadata));
  check(commitment.equals(bytesOf(record.commitment)), 'Content digest, description and verification key do not give the commitment.');
  steps.push(`Content digest, description (${record.resourceType}, ${record.class}) and verification key give the commitment.`);

  const certificate = readCertificate(record.certificate);
  checkIssued(certificate, rootOfMember(members, keeper));
  check(certificate.unit === 'client' && certificate.role === 'system', `The commitment was not signed by the system of ${keeper}.`);
  check(signatureHolds(certificate.key, lengthPrefixed('healthkeep/v1/anchor', keeper, record.id, record.subject, commitment), bytesOf(record.signature)), `${keeper} did not sign this commitment.`);
  steps.push(`${keeper} signed the commitment with a key its own root vouches for.`);

  const channel = `hdc-${keeper.slice(keeper.indexOf('-') + 1)}`;
  const anchor = checkLeaf(proof.anchor, { channel, namespace: 'hdc', key: `\0anchor\0${record.id}\0` }, members);
  const { value } = anchor;
  check(value['commitment'] === record.commitment && value['signature'] === record.signature && value['subject'] === record.subject && value['class'] === record.class, 'The ledger holds another commitment under this record.');
  check(anchor.signers.includes(keeper), `The checkpoint of channel ${channel} is not signed by ${keeper}.`);
  steps.push(`Channel ${channel} holds the same commitment in block ${anchor.block}, within the checkpoint of ${anchor.size} leaves that ${anchor.signers.join(' and ')} signed.`);

  const key = `checkpoint/${channel}/${keeper}/${String(anchor.size).padStart(16, '0')}`;
  const pinned = checkLeaf(proof.pinned, { channel: 'con', namespace: 'con', key }, members);
  checkPinned(pinned, anchor, { channel, keeper });
  checkQuorum(pinned, [...members.keys()]);
  steps.push(`That checkpoint stands on the consortium channel in block ${pinned.block}, under the name of ${keeper}, within a checkpoint signed by ${pinned.signers.join(' and ')}.`);
  steps.push(value['erased'] === 'no' ? 'The ledger did not mark the record as erased then.' : `The ledger marks the record as erased (${String(value['erased'])}).`);
}

/** What the keeper told the consortium is the checkpoint that the anchor was found in. */
function checkPinned(pinned: Leaf, { checkpoint }: Leaf, { channel, keeper }: { readonly channel: string; readonly keeper: string }): void {
  const { value } = pinned;
  const same = value['channel'] === channel && value['org'] === keeper && value['size'] === checkpoint.size && value['height'] === checkpoint.height;
  check(same && value['root'] === checkpoint.root.toString('base64url') && value['blockHash'] === checkpoint.blockHash.toString('base64url'), `The consortium channel holds another checkpoint of ${channel}.`);
}

/** At least two organisations that run a peer on the channel, or all if there are fewer. */
function checkQuorum(leaf: Leaf, peers: readonly string[]): void {
  const signed = leaf.signers.filter((org) => peers.includes(org)).length;
  check(peers.length > 0 && signed >= Math.min(2, peers.length), `Only ${signed} of at least ${Math.min(2, peers.length)} members signed the checkpoint ${leaf.checkpoint.origin}.`);
}

/** Grants of a person → their commitment → the answer on DRC → DRC's tree → the data users that run it. */
function verifyConsent(file: unknown, inputs: Inputs, steps: string[]): void {
  const receipt = fields(file, { kind: 'text', version: 'count', grants: 'list', opening: 'object', drc: 'object', members: 'list' }, 'consent receipt');
  check(receipt.version === 1, 'The consent receipt is of a version this verifier does not know.');
  const members = pinnedMembers(receipt.members, inputs.genesis, steps);
  const slot = String((receipt.drc as { readonly key?: unknown }).key).match(/^\0slot\0([A-Za-z0-9_-]{43})\0$/)?.[1] ?? refuse('The proof is not about a slot of DRC.');
  const drc = checkLeaf(receipt.drc, { channel: 'drc', namespace: 'drc', key: `\0slot\0${slot}\0` }, members);
  checkQuorum(drc, [...members.keys()].filter((org) => org.startsWith('DUO-')));
  const answer = drc.value['answer'] as Readonly<Record<string, unknown>> | undefined;
  check(typeof answer === 'object', 'The slot is not answered in this proof.');
  steps.push(`DRC holds the answer "${String(answer['decision'])}" of ${String(answer['at'])} (now ${String(drc.value['phase'])}) to ${String(drc.value['duo'])} in block ${drc.block}, within a checkpoint signed by ${drc.signers.join(' and ')}.`);

  const opening = fields(receipt.opening, { salt: 'digest', digests: 'list' }, 'opening');
  const digests = receipt.grants.map((signed) => checkGrant(signed, { slot, slotState: drc.value, answer, members, steps }));
  check(canonical(digests) === canonical(opening.digests), 'The opening names other grants than the receipt holds.');
  if (receipt.grants.length === 0) {
    check(answer['decision'] === 'no' && opening.salt === NONE && answer['grantCommitment'] === NONE, 'The receipt holds no grants, but the answer is not a refusal.');
    steps.push('The answer is a refusal: nothing was granted.');
    return;
  }
  check(answer['decision'] !== 'no', 'The answer on the ledger is a refusal.');
  check(hmac(bytesOf(opening.salt), Buffer.from(canonical(digests))).toString('base64url') === answer['grantCommitment'], 'The grants are not the ones the answer commits to.');
  steps.push(`The answer commits to exactly ${digests.length === 1 ? 'this grant' : `these ${digests.length} grants`}.`);
}

/** 32 zero bytes: the digest of nothing in a refusal. */
const NONE = 'A'.repeat(43);
type Asked = { readonly slot: string; readonly slotState: Leaf['value']; readonly answer: Leaf['value']; readonly members: Members; readonly steps: string[] };

/** One grant, signed by its owner, for this slot, recipient and key; returns its blinded digest. */
function checkGrant(signed: unknown, { slot, slotState, answer, members, steps }: Asked): string {
  const { payload, value, certificate } = checkSigned(signed, members);
  const grant = value as Readonly<Record<string, unknown>>;
  check(grant['kind'] === 'grant' && certificate.role === 'person' && certificate.commonName === grant['owner'] && certificate.org.startsWith('UO-'), 'A grant is not signed by its owner.');
  check(grant['slot'] === slot && grant['recipient'] === slotState['duo'] && grant['recipientKeyDigest'] === answer['recipientKeyDigest'], 'A grant is for another slot, recipient or key than the answer.');
  check(sha256(bytesOf(String(grant['recipientPublicKey']))).toString('base64url') === grant['recipientKeyDigest'], 'A grant names a key that is not the recipient\'s.');
  const invitation = slotState['invitation'] as { readonly template?: unknown } | undefined;
  check(typeof invitation?.template === 'object' && canonical(grant['template']) === canonical(invitation.template), 'A grant is for another request than the slot\'s.');
  check(grant['until'] === answer['until'] && grant['eraseAt'] === answer['eraseAt'], 'A grant ends at another time than the answer says.');
  steps.push(`The owner ${String(grant['owner'])} signed: ${String(grant['keeper'])} may release ${(grant['items'] as readonly unknown[]).length} records to ${String(grant['recipient'])} for ${String(grant['purpose'])} until ${String(grant['until'])}, to be erased by ${String(grant['eraseAt'])}.`);
  return hmac(bytesOf(String(grant['salt'])), Buffer.from(payload)).toString('base64url');
}

/** Two signed checkpoints of one channel that cannot both be true, the shorter first, and who signed both. */
function verifyFork(file: unknown, inputs: Inputs, steps: string[]): void {
  const fork = fields(file, { kind: 'text', version: 'count', notes: 'list', beginning: 'any', members: 'list' }, 'proof of a fork');
  check(fork.version === 1 && fork.notes.length === 2, 'The proof of a fork is of a version this verifier does not know.');
  const members = pinnedMembers(fork.members, inputs.genesis, steps);
  const [one, other] = fork.notes.map((note) => ({ ...readCheckpoint(String(note)), ...checkSignatures(String(note), members) })) as [Told, Told];
  const channel = one.origin.slice('healthkeep/'.length);
  check(one.origin === `healthkeep/${channel}` && other.origin === one.origin, 'The checkpoints are not of one channel.');
  for (const { size, height, trees, growth } of [one, other]) {
    check(trees.some((org) => runs(org, channel)), `Nobody who runs channel ${channel} signed the checkpoint of ${size} leaves.`);
    steps.push(`${trees.join(' and ')} signed: channel ${channel} has ${size} leaves after ${height} blocks${growth.length === 0 ? '' : `; ${growth.join(' and ')} saw it grow`}.`);
  }
  steps.push(`They cannot both be true: ${contradiction(one, other, fork.beginning)}.`);
  const both = [...one.trees, ...one.growth].filter((org) => [...other.trees, ...other.growth].includes(org));
  steps.push(both.length === 0 ? 'Nobody signed both: the ledger was shown in two versions.' : `Signed both: ${both.join(', ')}.`);
}

type Told = ReturnType<typeof readCheckpoint> & ReturnType<typeof checkSignatures>;
const runs = (org: string, channel: string): boolean => channel === 'con' || (channel.startsWith('hdc-') ? org === `HO-${channel.slice(4)}` : org.startsWith(channel === 'uic' ? 'UO-' : 'DUO-') && (channel === 'uic' || channel === 'drc'));

function contradiction(one: Told, other: Told, beginning: unknown): string {
  const sameTree = one.size === other.size && one.root.equals(other.root);
  if (one.height === other.height && !(sameTree && one.blockHash.equals(other.blockHash))) return `they differ after ${one.height} blocks`;
  if (one.size === other.size && !sameTree) return `they differ at ${one.size} leaves`;
  check(one.size < other.size, 'The checkpoints can both be true.');
  if (one.height > other.height) return 'the shorter one has more blocks';
  const { root, path } = fields(beginning, { root: 'digest', path: 'list' }, 'beginning of the longer tree');
  check(beginsWith({ size: one.size, root: bytesOf(root) }, other, path) && !bytesOf(root).equals(one.root), 'The longer tree is not shown to begin in another way.');
  return `the longer one began with another root at ${one.size} leaves`;
}

/** The members, as the reader knows them; a proof file that lists others is refused as a whole. */
function pinnedMembers(list: readonly unknown[], genesis: string | undefined, steps: string[]): Members {
  const members = readMembers(list);
  if (genesis === undefined) {
    for (const [org, root] of members) steps.push(`Not pinned: ${org} is believed to have the root with SHA-256 fingerprint ${root.fingerprint}; compare it yourself.`);
    return members;
  }
  const known = fields(JSON.parse(genesis), { kind: 'text', version: 'count', members: 'list' }, 'genesis file');
  check(known.kind === 'healthkeep-genesis' && known.version === 1, 'The genesis file is not one of version 1.');
  const pinned = new Map(known.members.map(memberOf).map(({ org, rootCertificate }) => [org, rootCertificate]));
  check(pinned.size === members.size && [...members].every(([org, root]) => pinned.get(org) === root.pem), 'The members of the proof are not the members of the genesis file.');
  steps.push(`The ${members.size} members and their roots are those of the genesis file.`);
  return members;
}

function main(): number {
  let inputs: Inputs;
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { genesis: { type: 'string' }, record: { type: 'string' } } });
    const [path, ...more] = positionals;
    if (path === undefined || more.length > 0) throw new Error('Name one proof file.');
    const genesis = values.genesis === undefined ? {} : { genesis: readFileSync(values.genesis, 'utf8') };
    inputs = { file: readFileSync(path, 'utf8'), ...genesis, ...(values.record === undefined ? {} : { record: readFileSync(values.record) }) };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\nUse: node verifier/verify.ts proof.json --genesis genesis.json [--record record.json]`);
    return 2;
  }
  const { good, steps, refusal } = verifyFile(inputs);
  for (const step of steps) console.log(`ok  ${step}`);
  if (!good) console.log(`NO  ${refusal}`);
  console.log(good ? (inputs.genesis === undefined ? 'Holds under the roots the file itself names.' : 'Holds.') : 'Refused.');
  return good ? 0 : 6;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) process.exitCode = main();
