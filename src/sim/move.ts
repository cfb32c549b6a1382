/** Moves a whole network's ledger to another one: the identities of all organisations are at hand, as in a pilot that one operator runs. */
import type { Clock, Log, Random, Scheduler } from '#base/ports.ts';
import { compositeKey } from '#contracts/keys.ts';
import type { LedgerAdmin } from '#ledger/admin.ts';
import { createChannelRoutes } from '#ledger/channel-routes.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import { readArchive, writeArchive } from '#ledger/embedded/archive.ts';
import type { ChannelRoot } from '#ledger/embedded/channel-root.ts';
import { continuedClient } from '#ledger/continued-client.ts';
import { createOutsideAdmin, readConfig, type OutsideAdminOptions } from '#ledger/fabric/outside-admin.ts';
import type { GatewayTransport } from '#ledger/transport.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import type { ChannelName, OrgId } from '#model/ids.ts';
import { channelOrgs, channelsOf, contractOf } from '#model/orgs.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';
import { checkpointOf, signedByAll } from '#org/move/final-checkpoint.ts';
import type { LedgerSide, MovedChannel, MoveStep, Voice } from '#org/move/move-channel.ts';
import { moveNetwork } from '#org/move/move-network.ts';
import { beforeOf } from '#org/move/before.ts';
import { settleIn } from '#org/move/settle-in.ts';

export interface Seams {
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly log: Log;
}

/** A ledger as the move needs it, over any transport: an embedded one in this process or another, or a Fabric network. */
export interface Place extends LedgerSide {
  readonly admin: LedgerAdmin;
}

/** `connect`: an organisation's own connection. One without a peer on a channel goes through an organisation that has one. */
export function placeOf({ identities, connect, seams }: { readonly identities: ReadonlyMap<OrgId, KeptOrgIdentity>; readonly connect: (org: OrgId) => GatewayTransport; readonly seams: Seams }): Place {
  const members = [...identities.keys()];
  const own = new Map(members.map((org) => [org, connect(org)]));
  const peersOf = (channel: string): readonly OrgId[] => channelOrgs(channel as ChannelName, members).peers;
  const doorOf = (channel: string, org: OrgId): GatewayTransport => own.get(peersOf(channel).includes(org) ? org : (peersOf(channel)[0] as OrgId)) as GatewayTransport;
  const clients = new Map(members.map((org) => [org, createLedgerClient({ transport: createChannelRoutes((channel) => doorOf(channel, org)), ...seams })]));
  const clientOf = (org: OrgId): LedgerClient => clients.get(org) as LedgerClient;
  const readerOf = (channel: string): { readonly signer: LedgerSigner; readonly client: LedgerClient } => {
    const org = peersOf(channel)[0] as OrgId;
    return { signer: (identities.get(org) as KeptOrgIdentity).peer, client: clientOf(org) };
  };
  const outside: OutsideAdminOptions = { channels: channelsOf(members), transportOf: (channel, mspId) => doorOf(channel, mspId as OrgId), readerOf, ...seams };
  const admin = createOutsideAdmin(outside);
  return { clientOf, admin, height: (channel) => admin.height(channel), config: (channel, signer) => readConfig(outside, channel, signer) };
}

export interface MoveOptions {
  readonly identities: ReadonlyMap<OrgId, KeptOrgIdentity>;
  readonly source: Place;
  readonly target: Place;
  readonly archive: string;
  readonly progress: (step: MoveStep) => void;
  readonly chunkRows?: number;
  /** What the source's own tables hold, where this process has them. */
  readonly tablesOf?: (channel: ChannelName, leaveOut: (key: string) => boolean) => Promise<ChannelRoot>;
}

const MOVE_KEY = compositeKey(['move']);

/** Throws as the steps do (docs/moving.md); run again it goes on where it was. */
export function moveLedger({ identities, source, target, archive, progress, tablesOf, chunkRows }: MoveOptions): Promise<readonly MovedChannel[]> {
  const members = [...identities.keys()];
  const identity = (org: OrgId): KeptOrgIdentity => identities.get(org) as KeptOrgIdentity;
  const voicesOf = (channel: ChannelName): Voice[] => channelOrgs(channel, members).peers.map((org) => ({ org, operator: identity(org).operator, peer: identity(org).peer }));
  return moveNetwork({
    channels: channelsOf(members), source, target, voicesOf, progress, ...(chunkRows === undefined ? {} : { chunkRows }),
    archive: (channel, blocks) => writeArchive(archive, channel, blocks),
    checkpoint: (channel, end) => signedByAll(checkpointOf(channel, readArchive(archive, channel), end), voicesOf(channel)),
    publishCrl: (channel, mspId, crl) => target.admin.updateCrl({ channel, mspId, crl, signer: identity(mspId as OrgId).operator }),
    ...(tablesOf === undefined ? {} : {
      sourceRoot: async (channel) => {
        const { namespaces } = await tablesOf(channel, (key) => key === MOVE_KEY);
        return (namespaces.find(({ namespace }) => namespace === contractOf(channel)) ?? { root: new Uint8Array(0) }).root;
      },
    }),
  });
}

/** Every organisation's own stores, in `<folder>/orgs/<org>`, fitted to the ledger that was moved to. Returns how many anchors were found again. */
export async function settleAll({ identities, target, folder, archive, seams }: Pick<MoveOptions, 'identities' | 'target' | 'archive'> & { readonly folder: string; readonly seams: Seams }): Promise<number> {
  const members = [...identities.keys()];
  const channels = channelsOf(members);
  const before = await beforeOf((org) => target.clientOf(org), channels, identities);
  const height = async (channel: ChannelName): Promise<number> => (await target.height(channel)) + (before.get(channel)?.height ?? 0);
  let anchors = 0;
  for (const [org, identity] of identities) anchors += await settleIn({ identity, folder: `${folder}/orgs/${org}`, members, channels, ledger: continuedClient(target.clientOf(org), (channel) => before.get(channel)), height, archive: (channel) => readArchive(archive, channel), clock: seams.clock, scheduler: seams.scheduler });
  return anchors;
}
