/** The end of the story: what the ledger and the stores say happened, and whether every promise held. */
import { canonicalJson } from '#base/canonical-json.ts';
import { toBase64url } from '#base/bytes.ts';
import { AnchorState, OrderState } from '#model/hdc.ts';
import { SlotState, Statement } from '#model/drc.ts';
import type { ChannelName, OrgId, RecordId, SlotTag } from '#model/ids.ts';
import { channelsOf, CON, DRC, hdcOf, UIC } from '#model/orgs.ts';
import type { BlockFacts } from '#ledger/block.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';
import { count, states, takeCensus, type ChannelCensus } from '../census.ts';
import type { RevokedEarly, Shown } from './answer.ts';
import type { Refusals } from './ask.ts';
import type { Ingested } from './collect.ts';
import { inTurns, type Person, type Stage } from './stage.ts';

export interface Check {
  readonly name: string;
  readonly held: boolean;
  readonly detail?: string;
}

export interface Summary {
  readonly people: number;
  readonly resources: { readonly read: number; readonly accepted: number; readonly refused: Ingested['refused'] };
  readonly anchored: number;
  readonly indexed: number;
  readonly indexEntries: number;
  readonly permits: number;
  readonly invitations: { readonly sent: number; readonly refused: number; readonly refusals: Readonly<Record<string, number>> };
  readonly answers: { readonly all: number; readonly narrower: number; readonly no: number; readonly silent: number };
  readonly releases: number;
  readonly items: { readonly delivered: number; readonly verified: number; readonly bytesEqual: boolean };
  readonly revocations: number;
  readonly erasures: number;
  readonly settlement: { readonly lines: number; readonly total: string; readonly recomputedTotal: string; readonly currency: string };
  readonly blocks: Readonly<Record<string, number>>;
  readonly transactions: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly checks: readonly Check[];
  readonly seconds: Readonly<Record<string, number>>;
}

/** Recomputes the statements from a dump of DRC, in a program of its own. Blocks as JSON lines. */
export type Recompute = (dump: string) => Promise<{ readonly lines: number; readonly total: string }>;

interface Found {
  readonly censuses: ReadonlyMap<ChannelName, ChannelCensus>;
  readonly drcDump: string;
  /** Canaries that stand in some block. */
  readonly leaked: readonly string[];
}

interface Arrived {
  readonly items: Readonly<Record<string, string>>;
  readonly bad: readonly { readonly record: RecordId; readonly code: string }[];
}

const DEVICE_LANES = 4;

/** Reads everything back and judges. */
export async function summarize(stage: Stage, told: { readonly people: readonly Person[]; readonly reports: readonly Ingested[]; readonly refusals: Refusals; readonly recompute: Recompute; readonly seconds: Record<string, number> }): Promise<Summary> {
  const found = await readLedger(stage);
  const keepers = [...stage.network.hospitals.keys()];
  const drc = found.censuses.get(DRC) as ChannelCensus;
  const slots = states(drc, 'slot', (value) => SlotState.parse(value));
  const statements = states(drc, 'statement', (value) => Statement.parse(value));
  const anchors = keepers.map((keeper) => states(found.censuses.get(hdcOf(keeper)) as ChannelCensus, 'anchor', (value) => AnchorState.parse(value)));
  const standing = anchors.flat().filter((anchor) => anchor.erased === 'no');
  // Records may also be of people whom the story does not know: what somebody tried on this folder before.
  const subjects = new Set((await stage.memory.list<{ readonly subject: string }>('linked/')).map(([, { subject }]) => subject));
  const owned = standing.filter((anchor) => subjects.has(anchor.subject)).length;
  const orders = keepers.flatMap((keeper) => states(found.censuses.get(hdcOf(keeper)) as ChannelCensus, 'order', (value) => OrderState.parse(value)));
  const tampering = await Promise.all(keepers.map((keeper) => checkStore(stage, keeper)));
  const index = await inTurns(told.people, DEVICE_LANES, (person) => indexOf(person));
  const compared = await compareDelivered(stage, statements.flatMap((statement) => statement.lines.map((line) => line.slot)));
  const early = (await stage.memory.list<RevokedEarly>('revoked-before/')).map(([, one]) => one);
  const recomputed = await told.recompute(found.drcDump);
  const receipts = slots.flatMap((slot) => (slot.receipt === undefined ? [] : [slot.receipt]));
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const total = statements.reduce((amount, statement) => amount + BigInt(statement.total), 0n).toString();
  const lines = sum(statements.map((statement) => statement.lines.length));
  const decisions = slots.flatMap((slot) => (slot.answer === undefined ? [] : [slot.answer.decision]));
  const now = stage.options.clock.now();
  const base = {
    people: told.people.length,
    resources: { read: sum(told.reports.map((report) => report.read)), accepted: sum(tampering.map((one) => one.checked)), refused: told.reports.flatMap((report) => report.refused) },
    anchored: anchors.flat().length,
    indexed: sum(index.map((one) => one.indexed)),
    indexEntries: count(found.censuses.get(UIC) as ChannelCensus, 'putEntry'),
    permits: count(drc, 'openSlot'),
    invitations: { sent: count(drc, 'invite'), refused: told.refusals.attempts - (told.refusals.codes['NOT_REFUSED'] ?? 0), refusals: told.refusals.codes },
    answers: { all: decisions.filter((one) => one === 'all').length, narrower: decisions.filter((one) => one === 'narrower').length, no: decisions.filter((one) => one === 'no').length, silent: slots.filter((slot) => slot.phase === 'invited' && Date.parse(slot.invitation?.answerBy ?? '') > now).length },
    releases: orders.filter((order) => order.release !== undefined).length,
    items: { delivered: sum(receipts.map((one) => one.delivered)), verified: sum(receipts.map((one) => one.verified)), bytesEqual: compared.differing.length === 0 && compared.compared > 0 },
    revocations: count(drc, 'revokeGrant'),
    erasures: count(drc, 'putErasure'),
    settlement: { lines, total, recomputedTotal: recomputed.total, currency: statements[0]?.currency ?? '' },
    blocks: Object.fromEntries([...found.censuses].map(([channel, census]) => [channel, census.blocks])),
    transactions: Object.fromEntries([...found.censuses].map(([channel, census]) => [channel, Object.fromEntries(census.transactions)])),
    seconds: told.seconds,
  };
  const accepted = sum(told.reports.map((report) => report.accepted));
  const checks: Check[] = [
    check('every resource read was accepted or refused with a reason', base.resources.read === accepted + base.resources.refused.filter((one) => one.index >= 0).length),
    check('every accepted resource is in a store, unless its owner had it erased', base.resources.accepted + base.anchored - standing.length >= distinctAccepted(told.reports) || base.resources.accepted === accepted, `${base.resources.accepted} stored, ${accepted} accepted`),
    check('every stored record is anchored on its channel', standing.length === base.resources.accepted, `${standing.length} anchors, ${base.resources.accepted} records`),
    check('no stored record is changed, missing or extra', tampering.every((one) => one.changed === 0 && one.missing === 0 && one.extra === 0)),
    check('every anchored record is in its owner\'s index', base.indexed === owned, `${base.indexed} of ${owned} indexed`),
    check('devices and hospitals agree (reconciliation)', index.every((one) => one.findings.length === 0), index.flatMap((one) => one.findings).slice(0, 3).join(', ')),
    check('no invitation without a live permit', (told.refusals.codes['NOT_REFUSED'] ?? 0) === 0 && base.invitations.sent <= base.permits, canonicalJson(told.refusals.codes)),
    check('preview bytes are delivered bytes', base.items.bytesEqual, `${compared.compared} packages compared${compared.differing.length === 0 ? '' : `, ${compared.differing.join(', ')}`}`),
    check('every delivered item is verified', base.items.delivered === base.items.verified && base.items.delivered > 0),
    check('a grant revoked before delivery is refused within 2 s', early.every((one) => one.code !== 'NOT_REFUSED' && one.code !== 'INTERNAL' && one.withinMs <= 2_000), early.map((one) => `${one.code} in ${one.withinMs} ms`).join(', ')),
    check('what was revoked after delivery is erased', slots.filter((slot) => slot.phase === 'revoked' && slot.receipt !== undefined).every((slot) => slot.erasure !== undefined)),
    check('the settlement recomputed from DRC alone is equal', recomputed.total === total && recomputed.lines === lines && lines > 0),
    check('every receipt is settled', lines === receipts.length),
    check('every channel\'s chain holds', (await Promise.all(stage.network.ledger.channels().map((channel) => chainHolds(stage, channel)))).every(Boolean)),
    check('no planted canary is on the ledger', found.leaked.length === 0, `${stage.plan.canaries.length} canaries`),
  ];
  return { ...base, checks };
}

function check(name: string, held: boolean, detail?: string): Check {
  return detail === undefined || detail === '' ? { name, held } : { name, held, detail };
}

/** A resource sent twice (the same file again) is held once. */
function distinctAccepted(reports: readonly Ingested[]): number {
  const seen = new Map(reports.map((report) => [`${report.keeper}/${report.patients.join('/')}/${report.accepted}/${report.read}`, report.accepted]));
  return [...seen.values()].reduce((sum, accepted) => sum + accepted, 0);
}

async function chainHolds(stage: Stage, channel: string): Promise<boolean> {
  return stage.network.ledger.verifyChain(channel).then(() => true, () => false);
}

async function checkStore(stage: Stage, keeper: OrgId): Promise<{ readonly checked: number; readonly changed: number; readonly missing: number; readonly extra: number }> {
  const found = await (stage.network.hospitals.get(keeper) as NonNullable<ReturnType<Stage['network']['hospitals']['get']>>).tamperCheck();
  return { checked: found.checked, changed: found.changed.length, missing: found.missing.length, extra: found.extra.length };
}

async function indexOf(person: Person): Promise<{ readonly indexed: number; readonly findings: readonly string[] }> {
  const { device } = person.open;
  const findings = await device.reconcile();
  const records = await device.records();
  const missing = new Set(findings.filter((one) => one.kind === 'not-indexed').map((one) => one.delivery));
  return { indexed: records.filter((record) => record.seal === 'sealed' && !missing.has(record.delivery)).length, findings: findings.map((one) => `${one.kind} ${one.code ?? ''}`.trim()) };
}

/** Slot by slot of what was paid for: exactly the records shown, with exactly the bytes shown. */
async function compareDelivered(stage: Stage, settled: readonly SlotTag[]): Promise<{ readonly compared: number; readonly differing: readonly string[] }> {
  const shown = new Map((await stage.memory.list<Shown>('shown/')).map(([, one]) => [one.slot, one]));
  const slots = settled.filter((slot) => shown.has(slot));
  const differing: string[] = [];
  for (const slot of slots) {
    const arrived = await stage.memory.read<Arrived>(`arrived/${slot}`);
    const equal = arrived?.bad.length === 0 && canonicalJson((shown.get(slot) as Shown).items) === canonicalJson(arrived.items);
    if (!equal) differing.push(slot);
  }
  return { compared: slots.length, differing };
}

async function readLedger(stage: Stage): Promise<Found> {
  const { network } = stage;
  const members = network.members.map(({ org }) => org);
  const censuses = new Map<ChannelName, ChannelCensus>();
  const dump: string[] = [];
  const leaked = new Set<string>();
  for (const channel of channelsOf(members)) {
    const reader = [...network.identities.values()].find((identity) => readerOf(channel, identity)) as KeptOrgIdentity;
    const onBlock = (block: BlockFacts, bytes: Uint8Array): void => {
      if (channel === DRC) dump.push(blockLine(block));
      scan(bytes, stage.plan.canaries, leaked);
    };
    censuses.set(channel, await takeCensus({ client: network.clientOf(reader.org), channel, signer: reader.peer, height: await network.ledger.height(channel), onBlock }));
  }
  return { censuses, drcDump: `${dump.join('\n')}\n`, leaked: [...leaked] };
}

/** An organisation that runs a peer on the channel. */
function readerOf(channel: ChannelName, { org }: KeptOrgIdentity): boolean {
  if (channel === UIC || channel === CON) return org.startsWith('UO-');
  if (channel === DRC) return org.startsWith('DUO-');
  return org.startsWith('HO-') && hdcOf(org) === channel;
}

function scan(bytes: Uint8Array, canaries: readonly string[], leaked: Set<string>): void {
  if (canaries.length === 0) return;
  const text = Array.from({ length: Math.ceil(bytes.length / 0x2000) }, (_, at) => String.fromCharCode(...bytes.subarray(at * 0x2000, (at + 1) * 0x2000))).join('');
  for (const canary of canaries) if (text.includes(canary)) leaked.add(canary);
}

/** One block as `healthkeep ledger inspect --json` prints it. */
export function blockLine(block: BlockFacts): string {
  return JSON.stringify({
    number: block.number,
    transactions: block.transactions.map((transaction) => ({
      txId: transaction.txId,
      code: transaction.code,
      writes: transaction.writes.map((write) => ({ namespace: write.namespace, key: write.key, value: write.value === null ? null : toBase64url(write.value) })),
    })),
  });
}

