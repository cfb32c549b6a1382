/**
 * Who takes part in a Fabric network on this machine: the demo's members, or those of a pilot's folder with the keys they
 * have there, and whoever joined later. `members.json` in the network's folder says it; without the file it is the demo's.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { fromUtf8 } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { readState } from '#ledger/fabric/network-state.ts';
import { OrgId } from '#model/ids.ts';
import { DEMO_MEMBERS, ORDERER_MSP } from '#sim/members.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { MEMBERS_MAX } from './fabric-plan.ts';
import { holdFolder, readNetworkFile } from './folder.ts';

const MembersFile = z.strictObject({ version: z.literal(1), members: z.array(OrgId).min(1) }).readonly();

const fileOf = (folder: string): string => join(folder, 'members.json');
const keysOf = (folder: string, mspId: string): string => join(folder, 'orgs', mspId, 'keys.sqlite');

/** In the order in which they came, which is the order of their ports. Throws FABRIC_STATE for a damaged file. */
export function fabricMembers(folder: string): readonly OrgId[] {
  if (!existsSync(fileOf(folder))) return DEMO_MEMBERS.map(({ org }) => org);
  try {
    return MembersFile.parse(JSON.parse(readFileSync(fileOf(folder), 'utf8'))).members;
  } catch (cause) {
    throw new CodedError('FABRIC_STATE', 'The members of the Fabric network cannot be read.', { why: 'members.json in its folder is not what healthkeep writes.', next: 'Run healthkeep fabric down on the folder, then up again.', folder }, { cause });
  }
}

/** Replaced as a whole. */
export function writeFabricMembers(folder: string, members: readonly OrgId[]): void {
  writeFileSync(`${fileOf(folder)}.new`, `${JSON.stringify({ version: 1, members }, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${fileOf(folder)}.new`, fileOf(folder));
}

const refuse = (why: string, next: string): CodedError => new CodedError('FABRIC_KEYS_FROM', 'The keys of that folder cannot be used for this Fabric network.', { why, next });

/**
 * Copies the keys of a folder's organisations and of its orderer into the network's folder. The folder itself is held
 * against other processes meanwhile and never written. A network that has the same keys already is left as it is.
 * Throws FOLDER_NOT_A_NETWORK, FOLDER_IN_USE, FABRIC_KEYS_FROM.
 */
export async function takeKeys({ from, folder }: { readonly from: string; readonly folder: string }): Promise<void> {
  const members = Object.keys(readNetworkFile(from).members) as OrgId[];
  if (members.length > MEMBERS_MAX) throw refuse(`It has ${members.length} members; a network on one machine has ports for ${MEMBERS_MAX}.`, 'Set up a network of several machines.');
  // Where nobody ever held the folder there is no hold file, and none is made.
  const hold = existsSync(join(from, 'hold.sqlite')) ? holdFolder(from) : { held: true, release: () => undefined };
  if (!hold.held) throw new CodedError('FOLDER_IN_USE', 'Another process works in the folder of the keys.', { why: 'Members may join and keys may change while it runs.', next: 'Stop it first.' });
  const staging = join(folder, 'keys-from');
  try {
    const roots = new Map<string, string>();
    for (const org of [...members, ORDERER_MSP]) roots.set(org, await staged({ from, staging, org }));
    if (readState(folder) === undefined) place({ staging, folder, roots: [...roots.keys()] });
    else await sameKeys(folder, members, roots);
    writeFabricMembers(folder, fabricMembersAfter(folder, members));
  } finally {
    rmSync(staging, { recursive: true, force: true });
    hold.release();
  }
}

/** Whoever joined the network since is kept. */
function fabricMembersAfter(folder: string, members: readonly OrgId[]): readonly OrgId[] {
  return readState(folder) === undefined ? members : fabricMembers(folder);
}

/** A copy for this process to open: opening a store writes beside it. Resolves to the root certificate. */
async function staged({ from, staging, org }: { readonly from: string; readonly staging: string; readonly org: string }): Promise<string> {
  const source = keysOf(from, org);
  const copy = keysOf(staging, org);
  const missing = (): CodedError => refuse(`It has no root certificate and key of ${org}.`, 'Name the folder of a demo or pilot whose organisations have all been started once.');
  if (!existsSync(source)) throw missing();
  mkdirSync(dirname(copy), { recursive: true, mode: 0o700 });
  // What a killed process had not folded in yet stands in the -wal file.
  for (const end of ['', '-wal']) {
    rmSync(`${copy}${end}`, { force: true });
    if (!existsSync(`${source}${end}`)) continue;
    copyFileSync(`${source}${end}`, `${copy}${end}`);
    chmodSync(`${copy}${end}`, 0o600);
  }
  const store = openSqliteKeyValueStore(copy);
  try {
    const [certificate, key] = [await store.get('root/certificate'), await store.get('root/key')];
    if (certificate === undefined || key === undefined) throw missing();
    return fromUtf8(certificate);
  } finally {
    await store.close();
  }
}

/** Nothing was started from what stands there, so it is replaced. */
function place({ staging, folder, roots }: { readonly staging: string; readonly folder: string; readonly roots: readonly string[] }): void {
  for (const org of roots) {
    const target = keysOf(folder, org);
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    for (const end of ['', '-wal', '-shm']) rmSync(`${target}${end}`, { force: true });
    renameSync(join(staging, relative(folder, target)), target);
  }
}

async function sameKeys(folder: string, members: readonly OrgId[], roots: ReadonlyMap<string, string>): Promise<void> {
  const there = fabricMembers(folder);
  const next = 'Run healthkeep fabric down, which deletes that network, or name another --folder.';
  const lacking = members.find((org) => !there.includes(org));
  if (lacking !== undefined) throw refuse(`The network that is set up here has no ${lacking}.`, next);
  for (const org of members) {
    const file = join(folder, 'orgs', org, 'root.pem');
    if (!existsSync(file) || readFileSync(file, 'utf8') !== roots.get(org)) throw refuse(`The network that is set up here knows another root of ${org}.`, next);
  }
}
