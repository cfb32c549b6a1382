/** Is the channel over there the one that was asked for: the same organisations, the same roots of trust, nobody revoked back in? */
import { fromUtf8, toHex } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { parseCertificate, parseRevocationList } from '#ledger/certificate.ts';
import { FabricMspConfig, MspConfig, type Config, type ConfigGroup } from '#ledger/protos/config.ts';

interface Organisation {
  readonly mspId: string;
  /** Fingerprints of its roots, sorted. */
  readonly roots: readonly string[];
  /** Serial numbers. */
  readonly revoked: ReadonlySet<string>;
  readonly runsPeer: boolean;
  /** PEM. */
  readonly lists: readonly Uint8Array[];
}

function organisation(mspId: string, group: ConfigGroup): Organisation {
  const msp = FabricMspConfig.decode(MspConfig.decode(group.values.get('MSP')?.value ?? new Uint8Array(0)).config);
  return {
    mspId,
    roots: msp.rootCerts.map((pem) => toHex(parseCertificate(pem).fingerprint)).sort(),
    revoked: new Set(msp.revocationList.flatMap((list) => [...parseRevocationList(list).revoked])),
    runsPeer: group.values.has('AnchorPeers'),
    lists: msp.revocationList,
  };
}

export function organisationsIn(config: Config): readonly Organisation[] {
  return [...(config.channelGroup?.groups.get('Application')?.groups ?? [])].map(([mspId, group]) => organisation(mspId, group));
}

/** Puts the source's revocation lists into the target's configuration, each signed by its organisation: nobody who was put out comes back in by a move. */
export async function carryRevocations(source: Config, target: Config, publish: (mspId: string, crl: string) => Promise<void>): Promise<void> {
  const there = new Map(organisationsIn(target).map((one) => [one.mspId, one]));
  for (const here of organisationsIn(source)) {
    const known = there.get(here.mspId);
    if (known === undefined) continue;
    for (const list of here.lists) if ([...parseRevocationList(list).revoked].some((serial) => !known.revoked.has(serial))) await publish(here.mspId, fromUtf8(list));
  }
}

/** Throws MOVE_TARGET_OTHER naming the first thing that differs. */
export function checkLikeness(channel: string, source: Config, target: Config): void {
  const refuse = (why: string): CodedError => new CodedError('MOVE_TARGET_OTHER', `The channel ${channel} of the target is not made like the source.`, { why, next: 'Correct the configuration of the target, then go on.', channel });
  const there = new Map(organisationsIn(target).map((one) => [one.mspId, one]));
  for (const here of organisationsIn(source)) {
    const other = there.get(here.mspId);
    if (other === undefined) throw refuse(`${here.mspId} is not a member there.`);
    there.delete(here.mspId);
    if (here.roots.join() !== other.roots.join()) throw refuse(`${here.mspId} has another root certificate there.`);
    if (here.runsPeer && !other.runsPeer) throw refuse(`${here.mspId} runs no peer there.`);
    const missing = [...here.revoked].filter((serial) => !other.revoked.has(serial)).length;
    if (missing > 0) throw refuse(`${missing} certificates of ${here.mspId} are revoked here and not there.`);
  }
  const [extra] = there.keys();
  if (extra !== undefined) throw refuse(`${extra} is a member there and not here.`);
}
