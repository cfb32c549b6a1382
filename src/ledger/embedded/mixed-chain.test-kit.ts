/** A channel with everything a block can hold: for replays, damage, upgrades and backups. */
import { utf8 } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { silentLog, type Random } from '#base/ports.ts';
import { fakeClock, realScheduler, seededRandom } from '#sim/seams.ts';
import { probe, type Step } from '../conformance/probe.ts';
import { createTestOrg, type TestIdentity, type TestOrg } from '../consortium.test-kit.ts';
import { createLedgerClient } from '../gateway-client.ts';
import type { LedgerClient } from '../client.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from './ledger.ts';

export const MIXED = 'mixed';

export interface MixedLedger {
  readonly ledger: EmbeddedLedger;
  readonly client: LedgerClient;
  readonly org: TestOrg;
  run(...steps: readonly Step[]): { readonly channel: string; readonly contract: string; readonly name: string; readonly input: never; readonly signer: TestIdentity['signer'] };
}

const clock = fakeClock(Date.UTC(2026, 0, 5, 12));

interface Keys {
  readonly org: TestOrg;
  readonly guest: TestOrg;
  readonly orderer: TestIdentity;
  readonly ordererRoot: string;
}

/** One set of keys for a folder that is opened several times. */
export async function mixedKeys(): Promise<Keys> {
  const [org, guest, ordererOrg] = [await createTestOrg('OrgA', clock), await createTestOrg('OrgB', clock), await createTestOrg('ORD-test', clock)];
  return { org, guest, orderer: await ordererOrg.issue('orderer', 'orderer'), ordererRoot: ordererOrg.ca.certificate };
}

let opened = 0;

/** Opens or makes the ledger of a folder. */
export async function openMixed(folder: string, { org, orderer, ordererRoot }: Keys, maxBytesPerChannel?: number): Promise<MixedLedger> {
  const ledger = await openEmbeddedLedger({ folder, clock, random: seededRandom(`mixed ${++opened}`), scheduler: realScheduler, log: silentLog, orderer: { ...orderer, rootCertificate: ordererRoot }, ...(maxBytesPerChannel === undefined ? {} : { maxBytesPerChannel }) });
  try {
    await ledger.createChannel({ name: MIXED, orgs: [{ mspId: 'OrgA', rootCertificate: org.ca.certificate }], peers: ['OrgA'], needed: 1 });
    await ledger.attachPeer({ ...org.peer, channels: [MIXED] });
    await ledger.deploy({ channel: MIXED, name: 'probe', chaincode: probe, needed: 1, collections: [{ name: 'own', members: ['OrgA'] }, { name: 'brief', members: ['OrgA'], blockToLive: 3 }] });
  } catch (error) {
    await ledger.close();
    throw error;
  }
  const client = createLedgerClient({ transport: ledger.transport(), clock, random: seededRandom(`mixed client ${opened}`), scheduler: realScheduler });
  return { ledger, client, org, run: (...steps) => ({ channel: MIXED, contract: 'probe', name: 'run', input: steps as never, signer: org.client.signer }) };
}

/** Characters that sort, fold or compose differently by language: Turkish i, German ß, composed and decomposed é, beyond the first plane. */
const TRICKY = ['I', 'ı', 'İ', 'i', 'ß', 'SS', 'é', 'e\u0301', 'ä', 'z', 'Z', 'ﬀ', '\u{1f512}', '\uffee', 'ا', '中'];

const pick = <T>(random: Random, list: readonly T[]): T => list[(random.bytes(1)[0] as number) % list.length] as T;

/** Writes `transactions` of all kinds, `width` at a time: public, private, ranges, key policies, deletes, purges, conflicts. */
export async function writeMixed({ client, run }: MixedLedger, transactions: number, { width = 8, seed = 'turns', bytes = 40 }: { readonly width?: number; readonly seed?: string; readonly bytes?: number } = {}): Promise<void> {
  const random = seededRandom(seed);
  let turn = 0;
  const steps = (): Step[] => {
    const number = turn++;
    const key = `${pick(random, TRICKY)}-${number}`;
    const old = `${pick(random, TRICKY)}-${Math.floor(number / 2)}`;
    switch (number % 8) {
      case 0: return [['putPrivate', 'own', key, `private ${key}`], ['putPrivate', 'brief', key, 'brief'], ['put', key, 'x'.repeat(bytes)]];
      case 1: return [['rangeKeys', 'a', 'zz'], ['put', key, old]];
      case 2: return [['delete', old], ['put', `${key} again`, key]];
      // Everybody counts on one counter: all but one of a block conflict, stay in it as invalid, and come again.
      case 3: return [['add', 'counter', 1]];
      case 4: return [['put', `policy ${key}`, 'mine'], ['setPolicy', `policy ${key}`, ['OrgA']]];
      case 5: return [['deletePrivate', 'own', old], ['putPrivate', 'own', `${key} kept`, key]];
      case 6: return [['purge', 'own', old], ['event', 'purged', key]];
      default: return [['putComposite', 'type', [key, 'part'], key], ['put', key, 'y'.repeat(bytes)], ['add', 'counter', 1]];
    }
  };
  await Promise.all(Array.from({ length: width }, async () => {
    while (turn < transactions) {
      await client.submit({ ...run(...steps()), transient: new Map([['never used', utf8('x')]]) }).catch((error: unknown) => {
        // Ten conflicts in a row: they are in the chain, which is what they are for.
        if (!isCoded(error, 'LEDGER_CONFLICT')) throw error;
      });
    }
  }));
}

/** A revocation, a new member: two configuration blocks. */
export async function changeMixedConfig({ ledger }: MixedLedger, { org, guest }: Keys): Promise<void> {
  const victim = await org.issue('victim', 'client');
  await ledger.updateCrl({ channel: MIXED, mspId: 'OrgA', crl: await org.ca.issueCrl([{ certificate: victim.certificate, at: clock.now() }], clock.now()), signer: org.admin.signer });
  await ledger.addOrganisation({ channel: MIXED, mspId: 'OrgB', rootCertificate: guest.ca.certificate, peer: false, signers: [org.admin.signer] });
}
