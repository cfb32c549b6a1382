/** `healthkeep doctor`: looks at the machine and a folder and says what is wrong, why, and what to do. */
import { existsSync, readdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createApiClient } from '#api/client.ts';
import { commonEndpoints } from '#api/endpoints.ts';
import { fromUtf8 } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import { readCertificate } from '#crypto/certificate.ts';
import { systemClock } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import type { Command } from '../command.ts';
import { pathOf } from '../context.ts';
import { holdFolder, readNetworkFile, type NetworkFile } from '../folder.ts';
import { networkFetch } from '../network-fetch.ts';
import { errorLines } from '../output.ts';

export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly why?: string;
  readonly next?: string;
}

const FREE_BYTES_MIN = 200 * 1_024 * 1_024;
const DAY_MS = 86_400_000;
const EARLIEST_MS = Date.UTC(2025, 0, 1);

export const doctor: Command = {
  name: ['doctor'],
  summary: 'Finds out what is wrong with this machine or a network\'s folder and says what to do.',
  options: { folder: { type: 'string', value: 'DIR', summary: 'the network\'s folder' } },
  examples: ['healthkeep doctor', 'healthkeep doctor --folder demo --json'],
  async run(context) {
    const findings: Finding[] = [...machine()];
    if (context.options['folder'] !== undefined) findings.push(...(await folderFindings(pathOf(context, context.options['folder']))));
    const failed = findings.some((one) => one.state === 'fail');
    const text = findings.flatMap((one) => [`${one.state.padEnd(4)}  ${one.check}`, ...(one.why === undefined ? [] : [`      why:  ${one.why}`]), ...(one.next === undefined ? [] : [`      next: ${one.next}`])]);
    return { json: { findings } as unknown as Json, text, exit: failed ? 3 : 0 };
  },
};

function machine(): Finding[] {
  const major = Number(process.versions.node.split('.')[0]);
  const now = systemClock.now();
  return [
    major >= 24 ? ok(`Node ${process.versions.node}`) : fail(`Node ${process.versions.node}`, 'healthkeep runs on Node 24.', 'Run it with npm start or npm run healthkeep, which bring Node 24.'),
    now > EARLIEST_MS ? ok('the clock') : fail('the clock', 'It stands before 2025; certificates will not be valid.', 'Set the clock.'),
  ];
}

async function folderFindings(folder: string): Promise<Finding[]> {
  let file: NetworkFile;
  try {
    file = readNetworkFile(folder);
  } catch (error) {
    const { what, why, next } = errorLines(error);
    return [fail('the folder', `${what} ${why}`, next)];
  }
  const findings: Finding[] = [ok(`the folder holds a network of ${Object.keys(file.members).length} organisations and ${file.people} people`), freeSpace(folder)];
  const hold = holdFolder(folder);
  hold.release();
  findings.push(...(await certificates(folder, file)));
  findings.push(...(hold.held ? stores(folder) : await running(file)));
  if (hold.held) findings.push({ check: 'no process serves this network', state: 'ok', next: 'Commands bring it up inside themselves; npm start serves it.' });
  return findings;
}

function freeSpace(folder: string): Finding {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  return free > FREE_BYTES_MIN ? ok(`disk: ${Math.round(free / 1_048_576)} MiB free`) : fail('disk', `Only ${Math.round(free / 1_048_576)} MiB are free.`, 'Make room; writes are refused when the disk is full, reads go on.');
}

async function certificates(folder: string, file: NetworkFile): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const org of Object.keys(file.members)) {
    const path = join(folder, 'orgs', org, 'keys.sqlite');
    if (!existsSync(path)) {
      findings.push({ check: `keys of ${org}`, state: 'warn', why: 'They are not in this folder.', next: 'Nothing to do if another machine runs it.' });
      continue;
    }
    try {
      const store = openSqliteKeyValueStore(path);
      for (const name of ['root', 'system', 'operator', 'staff', 'peer']) {
        const certificate = await store.get(`${name}/certificate`);
        if (certificate === undefined) findings.push(fail(`${name} certificate of ${org}`, 'It is missing.', 'Restore the keys from a backup.'));
        else findings.push(...age(`${name} certificate of ${org}`, readCertificate(fromUtf8(certificate)).notAfter));
      }
      await store.close();
    } catch (error) {
      const { what, next } = errorLines(error);
      findings.push(fail(`keys of ${org}`, what, next));
    }
  }
  return findings.length === 0 ? [] : findings.every((one) => one.state === 'ok') ? [ok('certificates are valid for more than 60 days')] : findings.filter((one) => one.state !== 'ok');
}

function age(check: string, notAfter: number): Finding[] {
  const days = Math.floor((notAfter - systemClock.now()) / DAY_MS);
  if (days < 0) return [fail(check, `It expired ${-days} days ago.`, 'Renew it with the organisation\'s root.')];
  if (days <= 60) return [{ check, state: days <= 3 ? 'fail' : 'warn', why: `It ends in ${days} days.`, next: 'Renew it with the organisation\'s root.' }];
  return [ok(check)];
}

/** Every SQLite file below the folder can be opened and is whole. Only when no process works in it. */
function stores(folder: string): Finding[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.sqlite'));
  const bad = files.flatMap((name) => {
    try {
      const database = new DatabaseSync(join(folder, name), { readOnly: true });
      const answer = database.prepare('PRAGMA quick_check(1)').get() as { readonly quick_check?: string } | undefined;
      database.close();
      return answer?.quick_check === 'ok' ? [] : [fail(`the file ${name}`, 'Its pages are damaged.', 'Restore this file from a backup.')];
    } catch {
      return [fail(`the file ${name}`, 'It cannot be read as a database.', 'Restore this file from a backup.')];
    }
  });
  return bad.length > 0 ? bad : [ok(`${files.length} store files are whole`)];
}

async function running(file: NetworkFile): Promise<Finding[]> {
  return Promise.all(
    Object.entries(file.members).map(async ([org, url]): Promise<Finding> => {
      try {
        const { ready } = await createApiClient({ table: commonEndpoints, baseUrl: url, fetch: networkFetch }).ready();
        return ready ? ok(`${org} answers at ${url}`) : { check: `${org} at ${url}`, state: 'warn', why: 'It is not ready on every channel yet.', next: 'Wait, then look at its /readyz.' };
      } catch (error) {
        return fail(`${org} at ${url}`, errorLines(error).what, 'Start it again.');
      }
    }),
  );
}

function ok(check: string): Finding {
  return { check, state: 'ok' };
}

function fail(check: string, why: string, next: string): Finding {
  return { check, state: 'fail', why, next };
}
