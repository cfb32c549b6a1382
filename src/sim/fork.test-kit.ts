/** A consortium whose operator can copy its folder, put it back, and serve two clients from two histories. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApiClient } from '#api/client.ts';
import { userOrgEndpoints } from '#api/endpoints.ts';
import type { Fetch } from '#base/ports.ts';
import { contractClient } from '#contracts/client.ts';
import { signRequest } from '#crypto/http-signature.ts';
import { createDevice, type Device } from '#device/device.ts';
import { memoryStore } from '#device/memory-store.test-kit.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { instant, type ChannelName, type OrgId } from '#model/ids.ts';
import { channelOrgs, CON } from '#model/orgs.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';
import type { Org } from '#org/types.ts';
import { openNetwork, type Network } from './network.ts';
import { realScheduler, rememberingLog, seededRandom, shiftedClock, systemClock, systemRandom, type SettableClock } from './seams.ts';
import { createWire, type Wire } from './wire.ts';

/** One running copy of the consortium. */
export interface Copy {
  readonly folder: string;
  readonly network: Network;
  readonly wire: Wire;
  readonly events: () => readonly string[];
  org(org: OrgId): Org;
  /** One more write on a channel, seen by all who have its tree. */
  grow(channel: ChannelName): Promise<void>;
  /** Every member gathers co-signatures on its channels, then all meet. */
  publish(): Promise<void>;
  close(): Promise<void>;
}

export interface Forge {
  readonly clock: SettableClock;
  open(folder: string): Promise<Copy>;
  /** The folder as it stands, under another name. The network must be closed. */
  copy(folder: string): string;
  fresh(): string;
  close(): Promise<void>;
}

export const urlOf = (org: OrgId): string => `http://${org.toLowerCase()}.local`;

export function createForge(): Forge {
  const base = mkdtempSync(join(tmpdir(), 'healthkeep-fork-'));
  const clock = shiftedClock(systemClock);
  let folders = 0;
  const opened: Copy[] = [];
  const fresh = (): string => join(base, String(folders++));
  return {
    clock,
    fresh,
    copy(folder) {
      const to = fresh();
      cpSync(folder, to, { recursive: true });
      return to;
    },
    async open(folder) {
      const copy = await openCopy(folder, clock);
      opened.push(copy);
      return copy;
    },
    async close() {
      for (const copy of opened) await copy.close();
      rmSync(base, { recursive: true, force: true });
    },
  };
}

async function openCopy(folder: string, clock: SettableClock): Promise<Copy> {
  const wire = createWire();
  const { log, lines } = rememberingLog();
  const network = await openNetwork({
    folder, clock, random: systemRandom, scheduler: realScheduler, log, fetch: wire.fetch,
    host: async (org, handler) => {
      wire.attach(urlOf(org), handler);
      return urlOf(org);
    },
  });
  const orgs = new Map<OrgId, Org>([network.userOrg, ...network.hospitals.values(), ...network.dataUsers.values()].map((org) => [org.org, org]));
  const members = [...orgs.keys()];
  let closed = false;
  return {
    folder, network, wire,
    events: () => lines.map(({ event }) => event),
    org: (org) => orgs.get(org) as Org,
    async grow(channel) {
      clock.advance(1_000);
      const writer = channelOrgs(channel, members).peers[0] as OrgId;
      const signer = (network.identities.get(writer) as KeptOrgIdentity).system;
      await contractClient<'con'>(network.client, { channel: channel as typeof CON, signer }).submit('setTimeFloor', { at: instant(clock.now()) });
      await realScheduler.sleep(50);
    },
    async publish() {
      for (const org of orgs.values()) await org.exchange.publish();
      for (const org of orgs.values()) for (const member of await membersOf(network)) if (member.org !== org.org) await org.exchange.meet(member);
    },
    async close() {
      if (closed) return;
      closed = true;
      await network.close();
    },
  };
}

async function membersOf(network: Network) {
  const signer = (network.identities.get(network.userOrg.org) as KeptOrgIdentity).system;
  return (await contractClient<'con'>(network.client, { channel: CON, signer }).evaluate('getMembers', {})).members;
}

/** An enrolled device whose calls to each organisation, and to the ledger, go to the copy that is chosen at that moment. */
export interface Person {
  readonly device: Device;
  /** Sends what follows to another copy: to some organisations only, or to all and the ledger. */
  served(copy: Copy, by?: readonly OrgId[]): void;
  /** The same device after a restart. */
  restarted(): Promise<Device>;
}

export async function openPerson(name: string, first: Copy, clock: SettableClock, change: (ledger: LedgerClient) => LedgerClient = (ledger) => ledger): Promise<Person> {
  let copy = first;
  const exceptions = new Map<string, Copy>();
  const store = memoryStore();
  const unlockKey = systemRandom.bytes(32);
  const fetch: Fetch = (request) => (exceptions.get(new URL(request.url).origin) ?? copy).wire.fetch(request);
  const ledger: LedgerClient = {
    submit: (call) => change(copy.network.client).submit(call),
    evaluate: (call) => change(copy.network.client).evaluate(call),
    blocks: (options) => copy.network.client.blocks(options),
    events: (options) => copy.network.client.events(options),
  };
  const open = (): Promise<Device> =>
    createDevice({ store, unlockKey, fetch, ledger, clock, random: seededRandom(name), scheduler: realScheduler, log: () => undefined, userOrgUrl: urlOf(first.network.userOrg.org), indexDelay: { minMs: 0, maxMs: 0 }, slotDelayMaxMs: 0 });
  const device = await open();
  await device.enrol({ code: await codeOf(first, clock) });
  return {
    device,
    restarted: open,
    served(next, by) {
      if (by === undefined) {
        copy = next;
        exceptions.clear();
      } else for (const org of by) exceptions.set(urlOf(org), next);
    },
  };
}

async function codeOf({ network, wire }: Copy, clock: SettableClock): Promise<string> {
  const { operator } = network.identities.get(network.userOrg.org) as KeptOrgIdentity;
  const sign = (request: Request): Promise<Request> => signRequest(request, { certificate: operator.certificate, sign: (message) => operator.sign(message), clock, random: systemRandom });
  return (await createApiClient({ table: userOrgEndpoints, baseUrl: urlOf(network.userOrg.org), fetch: wire.fetch, sign }).inviteCode({ body: {} })).code;
}
