/**
 * The linkage attack (features 2.1, 4.2, 6.3): everything a whole block dump shows of each act, every way two acts may
 * be alike, and how well each way, and all of them together, tell pairs of one person from pairs of two. The figure is
 * the area under the ROC curve: 0.5 is chance, 1 is certainty. An attacker may turn a feature around, so it is counted
 * from 0.5 in both directions.
 */
import { fromBase64url, fromHex, fromUtf8 } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import { readBlock } from '#ledger/block.ts';
import { parseCertificate, type CertificateFields } from '#ledger/certificate.ts';
import { Block } from '#ledger/protos/common.ts';
import { readEnvelope } from '#ledger/transaction.ts';

/** One transaction as the dump shows it. */
export interface Act {
  readonly block: number;
  readonly position: number;
  /** Place among all acts looked at. */
  readonly order: number;
  readonly txId: Uint8Array;
  readonly nonce: Uint8Array;
  /** The client's claim, UTC milliseconds. */
  readonly claimed: number;
  readonly certificate: CertificateFields;
  readonly endorsers: string;
  readonly transactionBytes: number;
  readonly argumentBytes: number;
  readonly signatureBytes: number;
  readonly input: Readonly<Record<string, Json>>;
  readonly sealed: Uint8Array;
}

/** Valid transactions of one name in a dump, in their order. */
export function actsIn(blocks: readonly Uint8Array[], name: string): readonly Act[] {
  const acts: Act[] = [];
  for (const bytes of blocks) {
    const raw = Block.decode(bytes).data?.data ?? [];
    const { number, transactions } = readBlock(bytes);
    transactions.forEach((transaction, position) => {
      if (transaction.code !== 'VALID' || transaction.function !== name) return;
      const envelope = raw[position] as Uint8Array;
      const { signatureHeader, envelope: outer } = readEnvelope(envelope);
      const text = transaction.args[0] ?? new Uint8Array(0);
      const input = JSON.parse(fromUtf8(text)) as Record<string, Json>;
      acts.push({
        block: number, position, order: acts.length, txId: fromHex(transaction.txId), nonce: signatureHeader.nonce, claimed: transaction.timestamp, certificate: parseCertificate(transaction.creator.certificate),
        endorsers: transaction.endorsers.join(), transactionBytes: envelope.length, argumentBytes: text.length, signatureBytes: outer.signature.length, input, sealed: fromBase64url(String(input['sealed'])),
      });
    });
  }
  return acts;
}

/** How alike two acts are in one respect; more is more alike. */
type Likeness = (a: Act, b: Act) => number;

const near = (of: (act: Act) => number): Likeness => (a, b) => -Math.abs(of(a) - of(b));
const same = (of: (act: Act) => string | number): Likeness => (a, b) => (of(a) === of(b) ? 1 : 0);

function sharedBits(left: Uint8Array, right: Uint8Array): number {
  let shared = 0;
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    let differing = (left[at] as number) ^ (right[at] as number);
    shared += 8;
    for (; differing > 0; differing &= differing - 1) shared--;
  }
  return shared;
}
const bits = (of: (act: Act) => Uint8Array): Likeness => (a, b) => sharedBits(of(a), of(b));
const equalBytesAt = (of: (act: Act) => Uint8Array): Likeness => (a, b) => of(a).reduce((sum, byte, at) => sum + (byte === of(b)[at] ? 1 : 0), 0);
const sharedStart = (of: (act: Act) => Uint8Array): Likeness => (a, b) => {
  const [left, right] = [of(a), of(b)];
  let at = 0;
  while (at < left.length && left[at] === right[at]) at++;
  return at;
};

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const serial = ({ certificate }: Act): Uint8Array => fromHex(certificate.serialHex.padStart(32, '0'));
const name = ({ certificate }: Act): Uint8Array => Buffer.from(certificate.commonName, 'base64url');
const key = ({ certificate }: Act): Uint8Array => certificate.spki.subarray(-64);
const hourOfDay = ({ claimed }: Act): number => (claimed % DAY_MS) / HOUR_MS;

const general: Readonly<Record<string, Likeness>> = {
  'sealed: nonce or encapsulated key, bits': bits((act) => act.sealed.subarray(0, 64)),
  'sealed: bits': bits((act) => act.sealed),
  'sealed: equal bytes': equalBytesAt((act) => act.sealed),
  'sealed: size': near((act) => act.sealed.length),
  'serial number: bits': bits(serial),
  'serial number: distance': near((act) => Number(`0x${act.certificate.serialHex.padStart(32, '0').slice(0, 12)}`)),
  'serial number: length': near((act) => act.certificate.serialHex.length),
  'common name: equal': same((act) => act.certificate.commonName),
  'common name: bits': bits(name),
  'common name: length': near((act) => act.certificate.commonName.length),
  'key: equal': same((act) => hex(key(act))),
  'key: bits': bits(key),
  'issuer': same((act) => hex(act.certificate.issuer)),
  'unit and organisation': same((act) => `${act.certificate.org} ${act.certificate.organizationalUnits.join()}`),
  'attributes': same((act) => JSON.stringify(act.certificate.attributes)),
  'valid from: equal': same((act) => act.certificate.notBefore),
  'valid from: distance': near((act) => act.certificate.notBefore),
  'valid to: equal': same((act) => act.certificate.notAfter),
  'certificate\'s age when used': near((act) => act.claimed - act.certificate.notBefore),
  'certificate: size': near((act) => act.certificate.der.length),
  'certificate: signature size': near((act) => act.certificate.signature.length),
  'transaction: size': near((act) => act.transactionBytes),
  'transaction: argument size': near((act) => act.argumentBytes),
  'transaction: signature size': near((act) => act.signatureBytes),
  'transaction: id bits': bits((act) => act.txId),
  'transaction: nonce bits': bits((act) => act.nonce),
  'endorsers': same((act) => act.endorsers),
  'claimed time: distance': near((act) => act.claimed),
  'claimed time: equal': same((act) => act.claimed),
  'claimed time: hour of day': (a, b) => -Math.min(Math.abs(hourOfDay(a) - hourOfDay(b)), 24 - Math.abs(hourOfDay(a) - hourOfDay(b))),
  'claimed time: within the hour': near((act) => act.claimed % HOUR_MS),
  'block: distance': near((act) => act.block),
  'block: position in it': near((act) => act.position),
  'order: distance': near((act) => act.order),
  'order: parity': same((act) => act.order % 2),
};

/** What the input says in clear, each member compared. */
function inputLikeness(acts: readonly Act[]): Readonly<Record<string, Likeness>> {
  const out: Record<string, Likeness> = {};
  for (const member of Object.keys(acts[0]?.input ?? {})) {
    if (member === 'sealed') continue;
    const text = (act: Act): string => JSON.stringify(act.input[member]);
    out[`input ${member}: equal`] = same(text);
    const time = (act: Act): number => Date.parse(String(act.input[member]));
    if (acts.every((act) => !Number.isNaN(time(act)))) out[`input ${member}: distance`] = near(time);
    if (acts.every((act) => /^"[A-Za-z0-9_-]{43}"$/.test(text(act)))) {
      out[`input ${member}: bits`] = bits((act) => fromBase64url(String(act.input[member])));
      out[`input ${member}: shared start`] = sharedStart((act) => Buffer.from(String(act.input[member])));
    }
  }
  return out;
}

export interface Verdict {
  /** Distance from chance, both directions: 0.5 to 1. */
  readonly features: Readonly<Record<string, number>>;
  /** All features together, learnt on one half of the people and tried on the other. */
  readonly combined: number;
  /** The strongest of all. */
  readonly worst: { readonly feature: string; readonly auc: number };
  readonly pairs: { readonly same: number; readonly different: number };
}

type Pair = readonly [Act, Act];
interface Pairs {
  readonly same: readonly Pair[];
  readonly different: readonly Pair[];
}

const DIFFERENT_PER_SAME = 20;

/** Plays the attacker who knows whose acts are whose for one half of the people. `ownerOf` tells the truth; `chance` draws [0, 1). */
export function attack(acts: readonly Act[], ownerOf: (act: Act) => number, chance: () => number): Verdict {
  const likeness = { ...general, ...inputLikeness(acts) };
  const names = Object.keys(likeness);
  const whole = pairsOf(acts, ownerOf, chance);
  const features: Record<string, number> = {};
  for (const feature of names) {
    const of = likeness[feature] as Likeness;
    features[feature] = bothWays(areaUnderCurve(whole.same.map(([a, b]) => of(a, b)), whole.different.map(([a, b]) => of(a, b))));
  }
  const halves = [0, 1].map((half) => pairsOf(acts.filter((act) => ownerOf(act) % 2 === half), ownerOf, chance)) as [Pairs, Pairs];
  const scores = { same: [] as number[], different: [] as number[] };
  for (const [known, other] of [[0, 1], [1, 0]] as const) {
    const score = learn(halves[known], Object.values(likeness));
    scores.same.push(...halves[other].same.map(score));
    scores.different.push(...halves[other].different.map(score));
  }
  const combined = bothWays(areaUnderCurve(scores.same, scores.different));
  const [feature, auc] = [...Object.entries(features), ['all together', combined] as const].reduce((worst, one) => (one[1] > worst[1] ? one : worst));
  return { features, combined, worst: { feature, auc }, pairs: { same: whole.same.length, different: whole.different.length } };
}

function pairsOf(acts: readonly Act[], ownerOf: (act: Act) => number, chance: () => number): Pairs {
  const byOwner = new Map<number, Act[]>();
  for (const act of acts) byOwner.set(ownerOf(act), [...(byOwner.get(ownerOf(act)) ?? []), act]);
  const pairs: Pair[] = [];
  for (const own of byOwner.values()) own.forEach((a, at) => pairs.push(...own.slice(at + 1).map((b): Pair => [a, b])));
  const different: Pair[] = [];
  while (different.length < pairs.length * DIFFERENT_PER_SAME) {
    const [a, b] = [acts[Math.floor(chance() * acts.length)] as Act, acts[Math.floor(chance() * acts.length)] as Act];
    if (ownerOf(a) !== ownerOf(b)) different.push([a, b]);
  }
  return { same: pairs, different };
}

const BINS = 16;

/**
 * A score learnt from pairs whose truth is known: per feature the log of how much more often pairs of one person fall
 * into the same band, summed (naive Bayes). Bands, so that also "neither too near nor too far" can be learnt.
 */
function learn(known: Pairs, likeness: readonly Likeness[]): (pair: Pair) => number {
  const tables = likeness.map((of) => {
    const sorted = known.different.map(([a, b]) => of(a, b)).sort((x, y) => x - y);
    const edges = [...new Set(Array.from({ length: BINS - 1 }, (_, at) => sorted[Math.floor(((at + 1) * sorted.length) / BINS)] as number))];
    const band = (pair: Pair): number => {
      const value = of(...pair);
      const at = edges.findIndex((edge) => value < edge);
      return at < 0 ? edges.length : at;
    };
    const count = (pairs: readonly Pair[]): number[] => pairs.reduce((sums, pair) => ((sums[band(pair)] = (sums[band(pair)] as number) + 1), sums), Array.from({ length: edges.length + 1 }, () => 1));
    const [alike, unlike] = [count(known.same), count(known.different)];
    const weights = alike.map((found, at) => Math.log(found / (known.same.length + alike.length)) - Math.log((unlike[at] as number) / (known.different.length + unlike.length)));
    return { band, weights };
  });
  return (pair) => tables.reduce((sum, { band, weights }) => sum + (weights[band(pair)] as number), 0);
}

/** The chance that a pair of one person scores higher than a pair of two; equal scores count half. */
export function areaUnderCurve(same: readonly number[], different: readonly number[]): number {
  const all = [...same.map((score) => ({ score, own: true })), ...different.map((score) => ({ score, own: false }))].sort((a, b) => a.score - b.score);
  let rankSum = 0;
  for (let at = 0; at < all.length; ) {
    let end = at;
    while (end < all.length && (all[end] as { score: number }).score === (all[at] as { score: number }).score) end++;
    const rank = (at + end + 1) / 2;
    for (let tied = at; tied < end; tied++) if ((all[tied] as { own: boolean }).own) rankSum += rank;
    at = end;
  }
  return (rankSum - (same.length * (same.length + 1)) / 2) / (same.length * different.length);
}

const bothWays = (auc: number): number => Math.max(auc, 1 - auc);

/** The verdict as lines to print, strongest features first. */
export function verdictLines(title: string, { features, combined, pairs }: Verdict): readonly string[] {
  const rows = Object.entries(features).sort(([, a], [, b]) => b - a);
  return [`${title}: ${pairs.same} pairs of one person, ${pairs.different} of two`, `  ${combined.toFixed(3)}  all together`, ...rows.map(([feature, auc]) => `  ${auc.toFixed(3)}  ${feature}`)];
}
