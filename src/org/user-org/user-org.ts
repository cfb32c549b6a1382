/** The user organisation: doorman, network map and mailbox; peer on UIC and CON. It forwards bytes that it cannot read. */
import { userOrgEndpoints } from '#api/endpoints.ts';
import { CON, UIC } from '#model/orgs.ts';
import type { CallerId } from '#model/ids.ts';
import type { TreeStore } from '#store/tree-store.ts';
import { createConsortium, type Consortium } from '../consortium.ts';
import { createHttpInterface } from '../http-interface.ts';
import { createMetrics } from '../metrics.ts';
import { createTicker } from '../ticker.ts';
import { createTimeFloor } from '../time-floor.ts';
import type { Org, OrgDeps } from '../types.ts';
import { createExchange, createMemory } from '../witness/exchange.ts';
import { createWitness, type Witness } from '../witness/witness.ts';
import { openCertificates } from './certificates.ts';
import { createDoorman } from './doorman.ts';
import { createMailboxes, type MailboxLimits } from './mailbox.ts';
import { createMapPress } from './map.ts';
import { openRevocations } from './revocations.ts';

export interface UserOrgDeps extends OrgDeps {
  readonly treeStore: TreeStore;
  /** Puts a revocation list on every ledger channel where this organisation is a member. */
  readonly publishCrl: (pem: string) => Promise<void>;
  readonly config?: UserOrgConfig;
}

export interface UserOrgConfig {
  /** Validity of people's certificates. A slot is answered and revoked with the certificate that opened it, so it must outlive the slot. */
  readonly certificateDays?: number;
  readonly timeFloorSeconds?: number;
  readonly checkpointSeconds?: number;
  readonly mailbox?: Partial<MailboxLimits>;
  /** Origins of portals that may call from a browser. */
  readonly origins?: readonly string[];
}

export interface UserOrg extends Org {
  readonly consortium: Consortium;
  /** By channel: UIC, then CON. */
  readonly witnesses: readonly Witness[];
}

const CERTIFICATE_DAYS = 730;
const CHECKPOINT_SECONDS = 60;
const UPKEEP_SECONDS = 60;

export async function createUserOrg(deps: UserOrgDeps): Promise<UserOrg> {
  const { identity, store, clock, random, scheduler, log, ledger, config = {} } = deps;
  const { org, ca, system } = identity;
  const metrics = createMetrics();
  const revocations = openRevocations({ store, ca, clock, log, publishCrl: deps.publishCrl });
  await revocations.start();
  const certificates = openCertificates({ store, ca, clock, days: config.certificateDays ?? CERTIFICATE_DAYS });
  const consortium = createConsortium({ org, signer: system, ledger, fetch: deps.fetch, clock, scheduler, log, own: revocations });
  const memory = createMemory({ deps, consortium });
  const uic = createWitness({ channel: UIC, ledger, identity, store: deps.treeStore, heads: memory.heads, clock, scheduler, log });
  const con = createWitness({ channel: CON, ledger, identity, store: deps.treeStore, heads: memory.heads, clock, scheduler, log });
  const witnesses = [uic, con];
  const exchange = createExchange({ deps, consortium, witnesses, memory });
  const mailboxes = createMailboxes({ store, clock, metrics, holderOf: async (caller: CallerId) => (await certificates.get(caller))?.enrolment ?? caller, ...(config.mailbox === undefined ? {} : { limits: config.mailbox }) });
  const press = createMapPress({ store, consortium, signer: system, clock });
  const ticker = (name: string, everySeconds: number, work: () => Promise<void>) => createTicker({ name, everySeconds, delaySeconds: everySeconds, scheduler, log, work });
  const tickers = [
    exchange,
    createTimeFloor({ identity, ledger, witnesses, clock, random, scheduler, log, ...(config.timeFloorSeconds === undefined ? {} : { everySeconds: config.timeFloorSeconds }) }),
    // CON's own checkpoints are not put on CON: each would make the next.
    ticker('checkpoints', config.checkpointSeconds ?? CHECKPOINT_SECONDS, async () => void (await uic.putOnCon())),
    ticker('upkeep', UPKEEP_SECONDS, async () => {
      await revocations.refresh();
      await mailboxes.sweep();
    }),
  ];
  const handlers = { map: () => press.current(), ...createDoorman({ store, ca, certificates, revocations, clock, random, metrics }), ...mailboxes.handlers };

  return {
    org,
    consortium,
    exchange,
    witnesses,
    fetch: createHttpInterface({ deps, table: userOrgEndpoints, handlers, consortium, witnesses, exchange, metrics, title: `User organisation ${org}`, ...(config.origins === undefined ? {} : { origins: config.origins }) }),
    async start() {
      await consortium.start();
      await Promise.all(witnesses.map((witness) => witness.start()));
      tickers.forEach((one) => one.start());
    },
    async close() {
      await Promise.all([...tickers, ...witnesses, consortium].map((one) => one.close()));
    },
  };
}
