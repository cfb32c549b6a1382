import { describe, expect, it } from 'vitest';
import { fromBase64url, toBase64url } from '#base/bytes.ts';
import { Digest, instant, OrgId, SubjectId } from '#model/ids.ts';
import type { AccessLine } from '#model/messages.ts';
import { checkLog, lineDigest, nextHead } from './log.ts';

const keeper = OrgId.parse('HO-east');
const mine = SubjectId.parse('A'.repeat(22));
const zero = Digest.parse(toBase64url(new Uint8Array(32)));
const empty = { keeper, lines: [], verifiedTo: -1, head: zero };

interface Chain {
  readonly lines: readonly AccessLine[];
  readonly digests: readonly Digest[];
  readonly heads: readonly Digest[];
}

/** A keeper's whole log: every third line is ours. */
function chainOf(length: number): Chain {
  const lines: AccessLine[] = [];
  const digests: Digest[] = [];
  const heads: Digest[] = [];
  for (let sequence = 0; sequence < length; sequence++) {
    const previous = heads.at(-1) ?? zero;
    const own = sequence % 3 === 0;
    const line: AccessLine = { sequence, at: instant(1_000 * sequence), org: keeper, role: 'staff', caller: `caller-${sequence}`, action: 'read', ...(own ? { subject: mine } : {}), records: 1, purpose: 'treatment', outcome: 'done', previous };
    lines.push(line);
    digests.push(Digest.parse(lineDigest(line)));
    heads.push(Digest.parse(toBase64url(nextHead(fromBase64url(previous), fromBase64url(lineDigest(line))))));
  }
  return { lines, digests, heads };
}

function answerFrom(chain: Chain, from: number) {
  return { lines: chain.lines.filter((line) => line.subject === mine && line.sequence >= from), chain: { from, start: from === 0 ? zero : (chain.heads[from - 1] as Digest), digests: chain.digests.slice(from) } };
}

describe('a keeper\'s access log', () => {
  const chain = chainOf(12);
  const onChannel = { to: 9, head: chain.heads[9] as Digest };

  it('is confirmed up to the head on the channel, the rest stays the keeper\'s word', () => {
    const checked = checkLog({ kept: empty, answer: answerFrom(chain, 0), onChannel });
    expect(checked).toMatchObject({ kept: { verifiedTo: 9, head: chain.heads[9] }, unconfirmed: [] });
    expect(typeof checked === 'string' ? [] : checked.kept.lines.map(({ sequence }) => sequence)).toEqual([0, 3, 6, 9]);
  });

  it('goes on from what was confirmed before', () => {
    const first = checkLog({ kept: empty, answer: answerFrom(chain, 0), onChannel: { to: 5, head: chain.heads[5] as Digest } });
    if (typeof first === 'string') throw new Error(first);
    expect(first.unconfirmed.map(({ sequence }) => sequence)).toEqual([6, 9]);
    const second = checkLog({ kept: first.kept, answer: answerFrom(chain, 6), onChannel });
    expect(typeof second === 'string' ? second : second.kept.lines.map(({ sequence }) => sequence)).toEqual([0, 3, 6, 9]);
  });

  it('waits while the channel has no head, or no newer one', () => {
    expect(checkLog({ kept: empty, answer: answerFrom(chain, 0), onChannel: null })).toMatchObject({ kept: { verifiedTo: -1 } });
    const kept = { keeper, lines: [], verifiedTo: 9, head: chain.heads[9] as Digest };
    expect(checkLog({ kept, answer: answerFrom(chain, 10), onChannel })).toMatchObject({ kept: { verifiedTo: 9 } });
  });

  const other = chainOf(12).lines[3] as AccessLine;
  const good = answerFrom(chain, 0);
  it.each([
    ['a changed line', { ...good, lines: good.lines.map((line) => (line.sequence === 3 ? { ...other, purpose: 'billing' } : line)) }, onChannel, 'ACCESS_LOG_ALTERED'],
    ['a line of another place', { ...good, lines: good.lines.map((line) => (line.sequence === 3 ? { ...line, sequence: 6 } : line)) }, onChannel, 'ACCESS_LOG_ALTERED'],
    ['a line left out of the chain', { ...good, chain: { ...good.chain, digests: good.chain.digests.filter((_, at) => at !== 4) }, lines: good.lines.filter(({ sequence }) => sequence < 4) }, onChannel, 'ACCESS_LOG_ALTERED'],
    ['a chain that ends before the head', { ...good, chain: { ...good.chain, digests: good.chain.digests.slice(0, 5) }, lines: good.lines.filter(({ sequence }) => sequence < 5) }, onChannel, 'ACCESS_LOG_CUT'],
    ['a chain that starts later than asked', answerFrom(chain, 3), onChannel, 'ACCESS_LOG_ALTERED'],
    ['another head on the channel', good, { to: 9, head: chain.heads[8] as Digest }, 'ACCESS_LOG_ALTERED'],
  ])('names %s', (_, answer, head, code) => {
    expect(checkLog({ kept: empty, answer, onChannel: head })).toBe(code);
  });

  it('may not read differently from what the channel confirmed', () => {
    const kept = { keeper, lines: [], verifiedTo: 5, head: chain.heads[4] as Digest };
    expect(checkLog({ kept, answer: answerFrom(chain, 6), onChannel })).toBe('ACCESS_LOG_ALTERED');
    expect(checkLog({ kept: { ...kept, head: chain.heads[5] as Digest }, answer: answerFrom(chain, 6), onChannel: { to: 5, head: zero } })).toBe('ACCESS_LOG_ALTERED');
  });
});
