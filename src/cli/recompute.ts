/** Recomputes statements from a dump of DRC by the independent script, in a process of its own. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CodedError } from '#base/errors.ts';
import type { Recompute } from '#sim/story.ts';

const SCRIPT = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'verifier', 'settle.ts');

interface Recomputed {
  readonly lines: number;
  readonly total: string;
}

/** @throws CodedError RECOMPUTE_FAILED */
export const recompute: Recompute = async (dump) => {
  const text = await run(dump);
  const statements = text.split('\n').filter((line) => line.trim() !== '').map((line) => JSON.parse(line) as { readonly lines: number | readonly unknown[]; readonly total: string });
  return statements.reduce<Recomputed>((sum, one) => ({ lines: sum.lines + (typeof one.lines === 'number' ? one.lines : one.lines.length), total: (BigInt(sum.total) + BigInt(one.total)).toString() }), { lines: 0, total: '0' });
};

function run(dump: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', SCRIPT], { stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(out) : reject(new CodedError('RECOMPUTE_FAILED', 'The independent settlement script failed.', { why: err.split('\n')[0] ?? `It ended with ${code}.`, next: 'Run node verifier/settle.ts on the dump of DRC.' }))));
    child.stdin.on('error', () => undefined);
    child.stdin.end(dump);
  });
}
