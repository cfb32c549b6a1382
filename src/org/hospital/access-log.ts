/**
 * The keeper's access log: one line per access and per refusal, durable before the answer leaves, chained by digests
 * (docs/protocol.md section 8). Lines asked for in the same turn of the event loop share one write.
 */
import { equalBytes, fromUtf8, lengthPrefixed, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { instant, type Digest, type GrantId, type OrgId, type SubjectId } from '#model/ids.ts';
import { AccessLine } from '#model/messages.ts';
import type { LogLine, RecordStore } from '#store/ports.ts';

const GENESIS: Bytes = new Uint8Array(32);
/** Lines an answer covers at most. */
const WINDOW_LINES = 20_000;
const VERIFY_PAGE = 1_000;

/** One access, as the caller of `append` knows it. */
export interface Access {
  readonly org: OrgId;
  readonly role: string;
  /** Pseudonymous: a certificate's fingerprint, or an organisation's own process. */
  readonly caller: string;
  readonly action: AccessLine['action'];
  readonly subject?: SubjectId;
  readonly records: number;
  readonly purpose: string;
  readonly grant?: GrantId;
  readonly outcome: AccessLine['outcome'];
  readonly code?: string;
}

export interface AccessHead {
  /** Sequence of the last line. */
  readonly to: number;
  readonly head: Digest;
}

/** What an owner is shown: own lines whole, all lines of the window as digests. */
export interface AccessView {
  readonly lines: readonly AccessLine[];
  readonly chain: { readonly from: number; readonly start: Digest; readonly digests: readonly Digest[] };
}

export interface AccessLog {
  /** Durable when it resolves. */
  append(access: Access): Promise<void>;
  /** The last line; undefined while there is none. */
  head(): AccessHead | undefined;
  headAt(sequence: number): Promise<Digest | undefined>;
  view(subjects: ReadonlySet<string>, after: number | undefined): Promise<AccessView>;
  /** Recomputes the chain. Throws ACCESS_LOG_DAMAGED naming the first line that does not fit. */
  verify(): Promise<number>;
}

/** Opens the log where it ended. */
export async function openAccessLog({ records, clock }: { readonly records: Pick<RecordStore, 'appendLines' | 'lastLine' | 'lines'>; readonly clock: Clock }): Promise<AccessLog> {
  let last = await records.lastLine();
  let waiting: { readonly access: Access; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  let writing: Promise<void> = Promise.resolve();

  const flush = async (): Promise<void> => {
    const group = waiting;
    waiting = [];
    if (group.length === 0) return;
    const lines: LogLine[] = [];
    let before = last;
    for (const { access } of group) lines.push((before = chained(access, before, clock.now())));
    try {
      await records.appendLines(lines);
      last = before;
      group.forEach(({ resolve }) => resolve());
    } catch (error) {
      group.forEach(({ reject }) => reject(error));
    }
  };

  return {
    append: (access) =>
      new Promise<void>((resolve, reject) => {
        waiting.push({ access, resolve, reject });
        if (waiting.length === 1) writing = writing.then(flush);
      }),
    head: () => (last === undefined ? undefined : { to: last.sequence, head: toBase64url(last.head) as Digest }),
    async headAt(sequence) {
      const line = (await records.lines(sequence, sequence))[0];
      return line === undefined ? undefined : (toBase64url(line.head) as Digest);
    },
    async view(subjects, after) {
      const from = after === undefined ? 0 : after + 1;
      const window = await records.lines(from, from + WINDOW_LINES - 1);
      const start = from === 0 ? GENESIS : ((await records.lines(from - 1, from - 1))[0]?.head ?? GENESIS);
      const own = window.filter((line) => line.subject !== undefined && subjects.has(line.subject));
      return {
        lines: own.map((line) => AccessLine.parse(JSON.parse(fromUtf8(line.line)))),
        chain: { from, start: toBase64url(start) as Digest, digests: window.map((line) => toBase64url(line.digest) as Digest) },
      };
    },
    verify: () => verifyChain(records),
  };
}

/** head_n = SHA-256(lengthPrefixed("healthkeep/v1/access", head_{n-1}, digest_n)). */
export function nextHead(previous: Bytes, digest: Bytes): Bytes {
  return sha256(lengthPrefixed(utf8('healthkeep/v1/access'), previous, digest));
}

/** digest_n: of the canonical line without `previous`. */
export function lineDigest({ previous: _, ...line }: AccessLine): Bytes {
  return sha256(canonicalBytes(line as Json));
}

function chained(access: Access, before: LogLine | undefined, now: number): LogLine {
  const previous = before?.head ?? GENESIS;
  const line = AccessLine.parse({ ...access, sequence: before === undefined ? 0 : before.sequence + 1, at: instant(now), previous: toBase64url(previous) });
  const digest = lineDigest(line);
  return { sequence: line.sequence, subject: access.subject, line: canonicalBytes(line as Json), digest, head: nextHead(previous, digest) };
}

async function verifyChain(records: Pick<RecordStore, 'lines'>): Promise<number> {
  let previous = GENESIS;
  let next = 0;
  for (;;) {
    const page = await records.lines(next, next + VERIFY_PAGE - 1);
    if (page.length === 0) return next;
    for (const { sequence, line, digest, head } of page) {
      const parsed = AccessLine.safeParse(readLine(line));
      const fits = sequence === next && parsed.success && parsed.data.sequence === next && equalBytes(lineDigest(parsed.data), digest) && parsed.data.previous === toBase64url(previous) && equalBytes(nextHead(previous, digest), head);
      if (!fits) throw new CodedError('ACCESS_LOG_DAMAGED', 'The access log does not fit its chain.', { line: next });
      previous = head;
      next += 1;
    }
  }
}

function readLine(line: Bytes): unknown {
  try {
    return JSON.parse(fromUtf8(line));
  } catch {
    return undefined;
  }
}
