/** A network that has lived a story, and an empty ledger of the same members in its neighbour folder, behind gRPC. */
import { cpSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { silentLog } from '#base/ports.ts';
import type { EmbeddedLedger } from '#ledger/embedded/ledger.ts';
import { serveGrpc } from '#ledger/embedded/grpc-server.ts';
import { createGrpcTransport } from '#ledger/fabric/grpc-transport.ts';
import type { OrgId } from '#model/ids.ts';
import { openOrgIdentity, type KeptOrgIdentity } from '#org/identity.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { recompute } from '#cli/recompute.ts';
import { DEMO_MEMBERS, type DemoMember } from './members.ts';
import { placeOf, type Place } from './move.ts';
import { openLedgerOf, openNetwork, type Network, type NetworkOptions } from './network.ts';
import { syntheticPlan } from './plan.ts';
import { realScheduler, systemClock, systemRandom } from './seams.ts';
import { playStory, type Summary } from './story.ts';
import { createWire } from './wire.ts';

export const seams = { clock: systemClock, random: systemRandom, scheduler: realScheduler, log: silentLog };

function optionsOf(folder: string): NetworkOptions {
  const wire = createWire();
  return {
    folder, ...seams, fetch: wire.fetch,
    host: async (org, handler) => {
      const url = `http://${org.toLowerCase()}.local`;
      wire.attach(url, handler);
      return url;
    },
  };
}

/** Brings the network up for the first time: members found each other, nothing has happened yet. */
export async function bringUp(folder: string): Promise<void> {
  const network = await openNetwork(optionsOf(folder));
  await network.close();
}

/** Opens the network of a folder, plays the story for so many people, and does more if asked. */
export async function live(folder: string, count: number, more: (network: Network) => Promise<void> = async () => undefined): Promise<Summary> {
  const options = optionsOf(folder);
  const network = await openNetwork(options);
  const memory = openSqliteKeyValueStore(join(folder, 'story.sqlite'));
  try {
    const { summary, people } = await playStory({ network, networkOptions: options, plan: syntheticPlan({ seed: 'move', count, visits: 1 }), memory, say: () => undefined, recompute, indexDelay: { minMs: 0, maxMs: 20 } });
    for (const person of people) await person.open.close();
    await more(network);
    return summary;
  } finally {
    await memory.close();
    await network.close();
  }
}

export interface TwoLedgers {
  readonly identities: ReadonlyMap<OrgId, KeptOrgIdentity>;
  readonly ledger: EmbeddedLedger;
  readonly other: EmbeddedLedger;
  readonly source: Place;
  readonly target: Place;
  close(): Promise<void>;
}

/** The folder's ledger, and one in `next` with the same organisations' keys, reached over gRPC only. */
export async function openBoth(folder: string, next: string, there: readonly DemoMember[] = DEMO_MEMBERS): Promise<TwoLedgers> {
  for (const { org } of there) {
    mkdirSync(join(next, 'orgs', org), { recursive: true });
    cpSync(join(folder, 'orgs', org, 'keys.sqlite'), join(next, 'orgs', org, 'keys.sqlite'));
  }
  const stores = DEMO_MEMBERS.map(({ org }) => [org, openSqliteKeyValueStore(join(folder, 'orgs', org, 'keys.sqlite'))] as const);
  const identities = new Map<OrgId, KeptOrgIdentity>();
  for (const [org, store] of stores) identities.set(org, await openOrgIdentity({ org, store, clock: systemClock }));
  for (const [, store] of stores) await store.close();
  const here = await openLedgerOf({ folder, ...seams }, DEMO_MEMBERS);
  const far = await openLedgerOf({ folder: next, ...seams }, there);
  const server = await serveGrpc({ transport: far.ledger.transport(), host: '127.0.0.1', port: 0 });
  const transport = createGrpcTransport({ address: `127.0.0.1:${server.port}` });
  return {
    identities, ledger: here.ledger, other: far.ledger,
    source: placeOf({ identities, connect: () => here.ledger.transport(), seams }),
    target: placeOf({ identities, connect: () => transport, seams }),
    async close() {
      transport.close();
      await server.close();
      await far.close();
      await here.close();
    },
  };
}

/** From now on the folder's network works on the ledger that was taken in. */
export function takeTarget(folder: string, next: string): void {
  renameSync(join(folder, 'ledger'), join(folder, 'ledger-before'));
  renameSync(join(folder, 'orgs', 'ORD-consortium'), join(folder, 'orderer-before'));
  renameSync(join(next, 'ledger'), join(folder, 'ledger'));
  renameSync(join(next, 'orgs', 'ORD-consortium'), join(folder, 'orgs', 'ORD-consortium'));
}
