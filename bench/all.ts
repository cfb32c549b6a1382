/** Every benchmark but the long `ledger-size`, one after the other, each in a process of its own. JSON lines. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
for (const name of ['crypto', 'records', 'ledger', 'side-by-side', 'ledger-rates', 'overload', 'ingest', 'package', 'start']) {
  process.stderr.write(`== ${name}\n`);
  const { status } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', '--expose-gc', join(here, `${name}.ts`)], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
