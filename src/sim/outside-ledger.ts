/**
 * A network on a ledger that runs elsewhere: every organisation has its own connection, to its own peer where the ledger
 * is Fabric. Persons' devices reach a channel through an organisation that runs a peer on it: index and consortium through the
 * user organisation, a hospital's channel through the hospital, requests through a data user.
 */
import type { Clock, Random, Scheduler } from '#base/ports.ts';
import type { LedgerAdmin } from '#ledger/admin.ts';
import { createChannelRoutes } from '#ledger/channel-routes.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { createOutsideAdmin } from '#ledger/fabric/outside-admin.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import type { GatewayTransport } from '#ledger/transport.ts';
import type { ChannelName, OrgId } from '#model/ids.ts';
import { channelOrgs, channelsOf } from '#model/orgs.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';

/** The ledger under a network, as the network uses it. */
export interface NetworkLedger {
  readonly admin: LedgerAdmin;
  /** The devices' way. */
  readonly transport: GatewayTransport;
  readonly client: LedgerClient;
  clientOf(org: OrgId): LedgerClient;
  close(): Promise<void>;
}

/** Connections to a ledger that runs elsewhere. */
export interface LedgerDoors {
  /** Opens an organisation's own connection. */
  connect(org: OrgId): GatewayTransport & { close(): void };
  /** Opens a device's connection to the ledger behind an organisation. */
  connectDevice(org: OrgId): GatewayTransport & { close(): void };
}

/** Opens one connection per organisation, and one per organisation for the devices it lets in. */
export function openOutsideLedger(options: { readonly doors: LedgerDoors; readonly identities: ReadonlyMap<OrgId, KeptOrgIdentity>; readonly clock: Clock; readonly random: Random; readonly scheduler: Scheduler }): NetworkLedger {
  const { doors, identities, clock, random, scheduler } = options;
  const seams = { clock, random, scheduler };
  const members = [...identities.keys()];
  const channels = channelsOf(members);
  const own = new Map(members.map((org) => [org, doors.connect(org)]));
  const devices = new Map(members.map((org) => [org, doors.connectDevice(org)]));
  const keeperOf = (channel: string): OrgId => channelOrgs(channel as ChannelName, members).peers[0] as OrgId;
  /** An organisation without a peer on the channel goes through one that has one, as devices do. */
  const doorOf = (channel: string, org: OrgId): GatewayTransport => own.get(channelOrgs(channel as ChannelName, members).peers.includes(org) ? org : keeperOf(channel)) as GatewayTransport;
  const transport = createChannelRoutes((channel) => devices.get(keeperOf(channel)) as GatewayTransport);
  const clients = new Map(members.map((org) => [org, createLedgerClient({ transport: createChannelRoutes((channel) => doorOf(channel, org)), ...seams })]));
  const clientOf = (org: OrgId): LedgerClient => clients.get(org) as LedgerClient;
  const admin = createOutsideAdmin({
    channels, transportOf: (channel, mspId) => doorOf(channel, mspId as OrgId), readerOf: (channel) => ({ signer: (identities.get(keeperOf(channel)) as KeptOrgIdentity).peer, client: clientOf(keeperOf(channel)) }), ...seams,
  });
  return {
    admin, transport, clientOf,
    client: createLedgerClient({ transport, ...seams }),
    async close() {
      for (const connection of [...own.values(), ...devices.values()]) connection.close();
    },
  };
}
