/** `JoinAdmin` of the embedded engine. */
import type { LedgerClient } from '#ledger/client.ts';
import type { EmbeddedLedger } from '#ledger/embedded/ledger.ts';
import { contractOf, endorsementsNeeded } from '#model/orgs.ts';
import type { JoinAdmin } from './join.ts';
import { CONTRACTS } from './network.ts';

export function embeddedJoinAdmin(ledger: EmbeddedLedger, client: LedgerClient): JoinAdmin {
  return {
    clientOf: () => client,
    addOrganisation: (change) => ledger.addOrganisation(change),
    createChannel: (name, orgs, peers) => ledger.createChannel({ name, orgs: [...orgs], peers: [...peers], needed: endorsementsNeeded(name, peers) }),
    joinPeer: ({ org, peerKey }, channel) => ledger.attachPeer({ mspId: org, certificate: peerKey.certificate, privateKeyPkcs8: peerKey.privateKeyPkcs8, channels: [channel] }),
    deploy: (channel, needed) => ledger.deploy({ channel, name: contractOf(channel), chaincode: CONTRACTS[contractOf(channel)], needed }),
  };
}
