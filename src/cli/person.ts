/** A person's device in a folder, and the network it belongs to. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CodedError } from '#base/errors.ts';
import { createDevice, type Device } from '#device/device.ts';
import { orgClass } from '#model/orgs.ts';
import type { OrgId } from '#model/ids.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import type { CommandContext, CommandResult, Option } from './command.ts';
import { pathOf } from './context.ts';
import { makeFolder } from './folder.ts';
import { fileLog } from './log.ts';
import { openWorld, type World } from './world.ts';

export const DEVICE_OPTIONS: Readonly<Record<string, Option>> = {
  folder: { type: 'string', value: 'DIR', summary: 'the device\'s folder, such as demo/people/1', required: true },
  network: { type: 'string', value: 'DIR', summary: 'the network\'s folder (default: two above the device\'s)' },
};

export interface AtDevice {
  readonly device: Device;
  readonly world: World;
}

/** Opens the device, does the work, closes everything. `create` allows a new folder. */
export async function withDevice(context: CommandContext, create: boolean, work: (at: AtDevice) => Promise<CommandResult>): Promise<CommandResult> {
  const folder = pathOf(context, context.options['folder']);
  if (!create && !existsSync(join(folder, 'device.sqlite'))) throw new CodedError('DEVICE_FOLDER_EMPTY', 'The folder holds no device.', { why: 'It has no device.sqlite.', next: 'Name a folder such as demo/people/1, or enrol one with healthkeep device enrol.' });
  const world = await openWorld(context.options['network'] === undefined ? dirname(dirname(folder)) : pathOf(context, context.options['network']));
  try {
    makeFolder(folder);
    const { device, close } = await openDevice(folder, world);
    try {
      return await work({ device, world });
    } finally {
      await close();
    }
  } finally {
    await world.close();
  }
}

async function openDevice(folder: string, world: World): Promise<{ readonly device: Device; readonly close: () => Promise<void> }> {
  const keyring = openSqliteKeyValueStore(join(folder, 'keyring.sqlite'));
  let unlockKey = await keyring.get('unlock');
  if (unlockKey === undefined) {
    unlockKey = systemRandom.bytes(32);
    await keyring.write(new Map([['unlock', unlockKey]]));
  }
  await keyring.close();
  const store = openSqliteKeyValueStore(join(folder, 'device.sqlite'));
  const device = await createDevice({
    store, unlockKey, fetch: world.fetch, ledger: world.ledger, clock: systemClock, random: systemRandom, scheduler: realScheduler,
    log: fileLog(folder), userOrgUrl: world.urlOf(userOrgOf(world)), indexDelay: { minMs: 0, maxMs: 300 }, slotDelayMaxMs: 200,
  });
  return {
    device,
    async close() {
      await device.close();
      await store.close();
    },
  };
}

export function userOrgOf(world: World): OrgId {
  const found = Object.keys(world.file.members).find((org) => orgClass(org as OrgId) === 'uo');
  if (found === undefined) throw new CodedError('CONFIG_INVALID', 'The network has no user organisation.', { why: 'network.json names none.', next: 'Start the demo on this folder again; the file is written anew.' });
  return found as OrgId;
}
