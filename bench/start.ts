/**
 * Start of the demo network on an existing folder: from the start of the process until every organisation answers.
 * Fills the folder first through the hospitals' whole pipeline. JSON lines.
 *
 *   node bench/start.ts [--records 100000] [--rounds 3] [--folder DIR]   (a folder that is already filled is used as it is)
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { utf8 } from '#base/bytes.ts';
import { openNetwork } from '#sim/network.ts';
import { syntheticPerson } from '#sim/people.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { createWire } from '#sim/wire.ts';
import { KEEPERS } from '#sim/members.ts';

const { values } = parseArgs({ options: { records: { type: 'string', default: '100000' }, rounds: { type: 'string', default: '3' }, folder: { type: 'string' } } });
const records = Number(values.records);
const rounds = Number(values.rounds);
const main = join(dirname(dirname(fileURLToPath(import.meta.url))), 'src', 'cli', 'main.ts');
const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'healthkeep-start-'));

async function fill(): Promise<number> {
  const wire = createWire();
  const network = await openNetwork({
    folder, clock: systemClock, random: systemRandom, scheduler: realScheduler, log: () => undefined, fetch: wire.fetch,
    host: async (org, handler) => {
      wire.attach(`http://${org.toLowerCase()}.local`, handler);
      return `http://${org.toLowerCase()}.local`;
    },
  });
  let stored = 0;
  for (let person = 0; stored < records; person++) {
    const { bundles } = syntheticPerson({ seed: 'bench-start', count: 1, hospitals: 2, visits: 12 }, person);
    const reports = await Promise.all(bundles.map((bundle) => network.hospitals.get((KEEPERS[bundle.hospital] as (typeof KEEPERS)[number]).org)?.ingest(utf8(bundle.text), { file: bundle.file })));
    stored += reports.reduce((sum, report) => sum + (report?.accepted ?? 0), 0);
  }
  await network.close();
  return stored;
}

/** Milliseconds until the process says that the network is ready. */
function startOnce(): Promise<number> {
  return new Promise((resolve, reject) => {
    const from = performance.now();
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'demo', '--once', '--no-story', '--acknowledged', '--folder', folder], { stdio: ['ignore', 'ignore', 'pipe'] });
    let ready: number | undefined;
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (ready === undefined && text.includes('"kind":"ready"')) ready = performance.now() - from;
    });
    child.on('error', reject);
    child.on('close', () => (ready === undefined ? reject(new Error(text)) : resolve(ready)));
  });
}

try {
  const filled = existsSync(join(folder, 'hold.sqlite')) ? records : await fill();
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) times.push(Math.round(await startOnce()));
  process.stdout.write(`${JSON.stringify({ bench: 'start', records: filled, medianMs: [...times].sort((left, right) => left - right)[Math.floor(rounds / 2)], allMs: times })}\n`);
} finally {
  if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
}
