/** Where a network's channels were before, as each ledger itself says since its import was sealed. */
import { fromBase64url } from '#base/bytes.ts';
import { contractClient } from '#contracts/client.ts';
import type { Before } from '#ledger/continued-client.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import type { ChannelName, OrgId } from '#model/ids.ts';
import { channelOrgs } from '#model/orgs.ts';

/** Holds nothing for channels that never moved. Asked of an organisation that runs a peer on each. */
export async function beforeOf(clientOf: (org: OrgId) => LedgerClient, channels: readonly ChannelName[], identities: ReadonlyMap<OrgId, { readonly system: LedgerSigner }>): Promise<ReadonlyMap<string, Before>> {
  const found = new Map<string, Before>();
  for (const channel of channels) {
    const [org] = channelOrgs(channel, [...identities.keys()]).peers;
    const signer = org === undefined ? undefined : identities.get(org)?.system;
    if (org === undefined || signer === undefined) continue;
    const { import: coming } = (await contractClient(clientOf(org), { channel, signer }).evaluate('getMove', {})).move;
    if (coming !== null) found.set(channel, { height: coming.source.height, blockHash: fromBase64url(coming.source.blockHash) });
  }
  return found;
}
