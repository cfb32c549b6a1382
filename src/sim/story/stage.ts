/** What every act of the story works with: the network, the plan, a memory that survives a restart, HTTP clients with keys. */
import { createApiClient, type ApiClient, type SignRequest } from '#api/client.ts';
import { commonEndpoints, dataUserEndpoints, hospitalEndpoints, userOrgEndpoints } from '#api/endpoints.ts';
import { fromUtf8, utf8 } from '#base/bytes.ts';
import type { KeyValueStore } from '#base/ports.ts';
import { signRequest } from '#crypto/http-signature.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { OrgId } from '#model/ids.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';
import type { Network, NetworkOptions, OpenDevice } from '../network.ts';
import type { StoryPlan } from '../plan.ts';

/** One person of the story: a device, and a local patient id at each hospital. */
export interface Person {
  /** Folder name; safe to print. */
  readonly name: string;
  readonly index: number;
  readonly patients: readonly { readonly keeper: OrgId; readonly patient: string }[];
  readonly open: OpenDevice;
}

export interface Memory {
  read<T>(key: string): Promise<T | undefined>;
  write(key: string, value: unknown): Promise<void>;
  list<T>(prefix: string): Promise<readonly (readonly [string, T])[]>;
}

export interface Stage {
  readonly network: Network;
  readonly options: NetworkOptions;
  readonly plan: StoryPlan;
  readonly memory: Memory;
  /** Told in plain words what happens. */
  readonly say: (line: string) => void;
  readonly indexDelay: { readonly minMs: number; readonly maxMs: number };
  readonly hospital: (org: OrgId) => ApiClient<typeof hospitalEndpoints>;
  readonly dataUser: (org: OrgId) => ApiClient<typeof dataUserEndpoints>;
  /** As the user organisation's operator. */
  readonly userOrg: () => ApiClient<typeof userOrgEndpoints>;
  readonly common: (org: OrgId) => ApiClient<typeof commonEndpoints>;
}

/** Clients act as the organisation's staff (at the user organisation: its operator), with its keys. */
export function createStage(options: { readonly network: Network; readonly networkOptions: NetworkOptions; readonly plan: StoryPlan; readonly store: KeyValueStore; readonly say: (line: string) => void; readonly indexDelay: Stage['indexDelay'] }): Stage {
  const { network, networkOptions } = options;
  const signAs = (signer: LedgerSigner): SignRequest => (request) => signRequest(request, { certificate: signer.certificate, sign: (message) => signer.sign(message), clock: networkOptions.clock, random: networkOptions.random });
  const base = (org: OrgId) => ({ baseUrl: network.urls.get(org) as string, fetch: networkOptions.fetch });
  const keys = (org: OrgId): KeptOrgIdentity => network.identities.get(org) as KeptOrgIdentity;
  return {
    network,
    options: networkOptions,
    plan: options.plan,
    memory: memoryOf(options.store),
    say: options.say,
    indexDelay: options.indexDelay,
    hospital: (org) => createApiClient({ table: hospitalEndpoints, ...base(org), sign: signAs(keys(org).staff) }),
    dataUser: (org) => createApiClient({ table: dataUserEndpoints, ...base(org), sign: signAs(keys(org).staff) }),
    userOrg: () => createApiClient({ table: userOrgEndpoints, ...base(network.userOrg.org), sign: signAs(keys(network.userOrg.org).operator) }),
    common: (org) => createApiClient({ table: commonEndpoints, ...base(org) }),
  };
}

function memoryOf(store: KeyValueStore): Memory {
  return {
    async read<T>(key: string) {
      const bytes = await store.get(key);
      return bytes === undefined ? undefined : (JSON.parse(fromUtf8(bytes)) as T);
    },
    write: (key, value) => store.write(new Map([[key, utf8(JSON.stringify(value))]])),
    async list<T>(prefix: string) {
      return (await store.list(prefix)).map(([key, bytes]) => [key, JSON.parse(fromUtf8(bytes)) as T] as const);
    },
  };
}

/** Runs the work for all values, at most `width` at a time, keeping order; the first failure ends it. */
export async function inTurns<T, R>(values: readonly T[], width: number, work: (value: T, at: number) => Promise<R>): Promise<R[]> {
  const results: R[] = new Array<R>(values.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < values.length; at = next++) results[at] = await work(values[at] as T, at);
  };
  await Promise.all(Array.from({ length: Math.min(width, values.length) }, lane));
  return results;
}
