/** What a person or a program sees: answers on standard output, talk and errors on standard error (clig.dev). */
import { canonicalJson, type Json } from '#base/canonical-json.ts';
import { isCoded } from '#base/errors.ts';
import { errorRow, type ExitCode } from '#model/errors.ts';

export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** True when standard output is a terminal and NO_COLOR is not set. */
  readonly color: boolean;
}

const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Text that is safe on a terminal: control and bidirectional characters are shown as their code point. */
export function safeText(text: string): string {
  return text.replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The three lines of every error: what, why, next. */
export function errorLines(error: unknown): { readonly code: string; readonly what: string; readonly why: string; readonly next: string; readonly exit: ExitCode } {
  if (!isCoded(error)) {
    const row = errorRow('INTERNAL');
    return { code: 'INTERNAL', what: row.sentence, why: oneLine(error instanceof Error ? `${error.name}: ${error.message}` : String(error)), next: 'Report this with the command you ran.', exit: row.exit };
  }
  const row = errorRow(error.code);
  return { code: error.code, what: error.message, why: error.details.why ?? row.sentence, next: error.details.next ?? row.next, exit: row.exit };
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

/** Prints an error in the house form and returns the exit code. */
export function printError(streams: Streams, error: unknown, json: boolean): ExitCode {
  const lines = errorLines(error);
  if (json) streams.err(`${canonicalJson({ error: { code: lines.code, what: lines.what, why: lines.why, next: lines.next } })}\n`);
  else streams.err(`error: ${safeText(lines.what)} [${lines.code}]\n  why:  ${safeText(lines.why)}\n  next: ${safeText(lines.next)}\n`);
  return lines.exit;
}

/** Prints a result: one line of JSON, or the lines of a person's view. */
export function printResult(streams: Streams, result: { readonly json: Json; readonly text: readonly string[] }, json: boolean): void {
  if (json) streams.out(`${JSON.stringify(result.json)}\n`);
  else streams.out(result.text.map((line) => `${safeText(line)}\n`).join(''));
}

/** Columns padded to their widest cell. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, at) => (widths[at] = Math.max(widths[at] ?? 0, cell.length)));
  return rows.map((row) => row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] as number))).join('  ').trimEnd());
}
