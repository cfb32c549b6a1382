/**
 * What a command works with: the network of a folder. When a process serves it, the command speaks to that process over
 * HTTP; otherwise it brings the network up inside itself, for as long as the command takes.
 */
import { CodedError } from '#base/errors.ts';
import type { Fetch } from '#base/ports.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { createHttpTransport } from '#ledger/http-transport.ts';
import { OrgId } from '#model/ids.ts';
import { orgClass } from '#model/orgs.ts';
import { openOrgIdentity, type KeptOrgIdentity } from '#org/identity.ts';
import { openNetwork, type Network, type NetworkOptions } from '#sim/network.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { createWire } from '#sim/wire.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { makeFolder, holdFolder, readNetworkFile, type Folder, type NetworkFile } from './folder.ts';
import { fileLog } from './log.ts';
import { membersOf } from './members.ts';
import { networkFetch } from './network-fetch.ts';

export interface World {
  readonly folder: string;
  readonly file: NetworkFile;
  readonly fetch: Fetch;
  readonly ledger: LedgerClient;
  /** The network itself, when this process holds it. */
  readonly network: Network | undefined;
  urlOf(org: OrgId): string;
  identity(org: OrgId): Promise<KeptOrgIdentity>;
  close(): Promise<void>;
}

const TURN_MS_MAX = 10_000;
const TURN_PAUSE_MS = 100;
const ANSWER_MS_MAX = 1_000;

/** @throws CodedError FOLDER_NOT_A_NETWORK, FOLDER_IN_USE, ORG_NOT_HERE */
export async function openWorld(path: string): Promise<World> {
  const folder = makeFolder(path);
  for (const from = systemClock.now(); ; ) {
    const file = readNetworkFile(path);
    const hold = holdFolder(folder);
    if (hold.held) return ownWorld(hold, file);
    if (await answers(file.ledger)) return remoteWorld(folder, file);
    // Another command, or a network that is coming up: both are soon over.
    if (systemClock.now() - from > TURN_MS_MAX) throw new CodedError('FOLDER_IN_USE', 'Another process works in this folder and does not answer.', { why: `It holds the folder, but nobody answers at ${file.ledger}.`, next: 'Wait until it is done, or stop it.' });
    await realScheduler.sleep(TURN_PAUSE_MS);
  }
}

async function answers(url: string): Promise<boolean> {
  return networkFetch(new Request(url, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })).then(() => true, () => false);
}

async function ownWorld(hold: Folder, file: NetworkFile): Promise<World> {
  const folder = hold.path;
  const wire = createWire();
  const log = fileLog(folder);
  const network = await opened(hold, {
    folder, members: membersOf(file), clock: systemClock, random: systemRandom, scheduler: realScheduler, log, fetch: wire.fetch,
    host: async (org, handler) => {
      const url = urlIn(file, org);
      wire.attach(new URL(url).origin, handler);
      return url;
    },
  });
  return {
    folder, file, fetch: wire.fetch, ledger: network.client, network,
    urlOf: (org) => urlIn(file, org),
    identity: async (org) => network.identities.get(org) ?? notHere(org),
    async close() {
      await network.close();
      hold.release();
    },
  };
}

/** The hold goes back when the network cannot be brought up. */
async function opened(hold: Folder, options: NetworkOptions): Promise<Network> {
  try {
    return await openNetwork(options);
  } catch (error) {
    hold.release();
    throw error;
  }
}

async function remoteWorld(folder: string, file: NetworkFile): Promise<World> {
  const transport = createHttpTransport({ baseUrl: file.ledger, fetch: networkFetch });
  const opened: { close(): Promise<void> }[] = [];
  return {
    folder, file, fetch: networkFetch, network: undefined,
    ledger: createLedgerClient({ transport, clock: systemClock, random: systemRandom, scheduler: realScheduler }),
    urlOf: (org) => urlIn(file, org),
    async identity(org) {
      urlIn(file, org);
      const store = openSqliteKeyValueStore(`${folder}/orgs/${org}/keys.sqlite`);
      opened.push(store);
      return openOrgIdentity({ org, store, clock: systemClock });
    },
    async close() {
      await Promise.all(opened.map((store) => store.close()));
    },
  };
}

function urlIn(file: NetworkFile, org: OrgId): string {
  return file.members[org] ?? notHere(org);
}

function notHere(org: string): never {
  throw new CodedError('ORG_NOT_HERE', `The network of this folder has no organisation ${org}.`, { why: 'It is not among its members.', next: 'Run healthkeep doctor --folder DIR to see the members.' });
}

const KINDS = { uo: 'a user organisation', ho: 'a hospital', duo: 'a data user' } as const;

/** An organisation of the example's kind. @throws CodedError USAGE_ARGUMENT */
export function parseOrg(text: string | boolean | undefined, example: string): OrgId {
  const parsed = OrgId.safeParse(text);
  const wanted = orgClass(OrgId.parse(example));
  if (parsed.success && orgClass(parsed.data) !== wanted) throw new CodedError('USAGE_ARGUMENT', `${parsed.data} is not ${KINDS[wanted]}.`, { why: `The command works with ${KINDS[wanted]}.`, next: `Name one, such as ${example}.` });
  if (!parsed.success) throw new CodedError('USAGE_ARGUMENT', `"${String(text)}" is not the id of an organisation.`, { why: 'An id begins with UO-, HO- or DUO-.', next: `Name one, such as ${example}.` });
  return parsed.data;
}
