/** A data user organisation: asks by template, receives what owners grant, keeps it no longer than it promised, and pays for it. */
import type { Fetch } from '#base/ports.ts';
import { dataUserEndpoints } from '#api/endpoints.ts';
import { CodedError } from '#base/errors.ts';
import type { Member } from '#model/con.ts';
import type { OrgId, SlotTag } from '#model/ids.ts';
import { CON, DRC } from '#model/orgs.ts';
import type { TreeStore } from '#store/tree-store.ts';
import { createBallot, type Ballot } from '../ballot.ts';
import { createConsortium } from '../consortium.ts';
import { createCosigners } from '../cosigners.ts';
import { createHttpInterface } from '../http-interface.ts';
import { createMetrics } from '../metrics.ts';
import { signerOf } from '../signing.ts';
import type { Org, OrgDeps } from '../types.ts';
import { createExchange, createMemory } from '../witness/exchange.ts';
import { createWitness, type Witness } from '../witness/witness.ts';
import { createTimeFloor } from '../time-floor.ts';
import { createBackground } from './background.ts';
import { createBoard } from './board.ts';
import { createDrcCalls } from './drc-calls.ts';
import { createErasures } from './erasure.ts';
import { dataUserHandlers } from './handlers.ts';
import { createKeeperCalls } from './keeper-calls.ts';
import { createMailman } from './mailman.ts';
import { createTurnstile } from '../turnstile.ts';
import { createPackages } from './packages.ts';
import { createDrcProofs } from './proofs.ts';
import { receivePackage, type Received } from './receive.ts';
import { createRequests } from './requests.ts';
import { createRetry, type RetryOptions } from './retry.ts';
import { createOwnSlots } from './slots.ts';
import { createStatements } from './statements.ts';
import { createTemplates } from './templates.ts';
import { createTransfers } from './transfers.ts';
import { createTrust } from './trust.ts';
import { createVault } from './vault.ts';

export interface DataUserDeps extends OrgDeps {
  readonly treeStore: TreeStore;
  /** How long to insist with keepers that do not answer. */
  readonly retry?: RetryOptions;
  /** Origins of portals that may call from a browser. */
  readonly origins?: readonly string[];
}

export interface DataUser extends Org {
  readonly ballot: Ballot;
  /** Slots whose answer should have been erased by now but whose erasure is not on DRC. */
  overdue(): readonly SlotTag[];
  /** Does what is due now: erasures, interrupted invitations and receipts, accepted templates. */
  tick(): Promise<void>;
  /** Resolves when this organisation has read DRC up to the block. */
  caughtUp(block: number): Promise<void>;
}

export async function createDataUser(deps: DataUserDeps): Promise<DataUser> {
  const { identity, ledger, scheduler, random, clock, log } = deps;
  const { org, system: signer } = identity;
  const sign = signerOf(deps, signer);
  const consortium = createConsortium({ org, signer, ledger, fetch: deps.fetch, clock, scheduler, log });
  const memory = createMemory({ deps, consortium });
  const [drcWitness, conWitness] = [DRC, CON].map((channel) => createWitness({ channel, ledger, identity, store: deps.treeStore, heads: memory.heads, clock, scheduler, log })) as [Witness, Witness];
  const exchange = createExchange({ deps, consortium, witnesses: [drcWitness, conWitness], memory });
  const vault = createVault({ store: deps.store, privateKey: identity.hpke.privateKey, random });
  const drc = createDrcCalls({ ledger, signer });
  const ballot = createBallot({ deps: { org, signer, ledger, scheduler, log } });
  const mailman = createMailman({ consortium, fetch: deps.fetch, sign, log });
  const slots = createOwnSlots({ identity, ledger, drc, vault, scheduler, log });
  const packages = createPackages({ vault, random });
  const requests = createRequests({ identity, vault, drc, slots, mailman, clock });
  const templates = createTemplates({ org, vault, drc, ballot, mailman, clock });
  const statements = createStatements({ vault, drc });
  const transfers = createTransfers();
  const exclusive = createTurnstile().run;
  const urlOf = async (keeper: OrgId): Promise<string> => memberUrl(await consortium.findMember(keeper), keeper);
  const keepers = createKeeperCalls({ fetch: deps.fetch, sign, scheduler, urlOf });
  const receiving = { org, drc, slots, requests, packages, keepers, retry: createRetry(deps, deps.retry), trust: createTrust({ consortium, drc, clock }), clock, log };
  const receive = (slot: SlotTag): Promise<Received> => exclusive(slot, () => transfers.run(slot, (signal) => receivePackage(slot, receiving, signal)));
  const erasures = createErasures({ identity, vault, drc, slots, packages, mailman, clock, log, exclusive, stopTransfer: transfers.stop });
  const background = createBackground({ deps, slots, erasures, requests, templates, receiving, witness: drcWitness, exclusive });
  const handlers = dataUserHandlers({
    slots, templates, requests, packages, erasures, statements, receive, clock,
    board: createBoard({ slots, packages, clock }),
    proofs: createDrcProofs({ witness: drcWitness, cosigners: createCosigners({ deps, consortium }), scheduler }),
  });
  const http: Fetch = createHttpInterface({
    deps, table: dataUserEndpoints, handlers, consortium, witnesses: [drcWitness, conWitness], exchange, metrics: createMetrics(), title: `Data user ${org}`,
    ...(deps.origins === undefined ? {} : { origins: deps.origins }),
  });
  const timeFloor = createTimeFloor({ identity, ledger, witnesses: [drcWitness], clock, random, scheduler, log });
  const running = [consortium, drcWitness, conWitness, slots, ballot, background, timeFloor, exchange];
  return {
    org,
    exchange,
    fetch: http,
    ballot,
    overdue: erasures.overdue,
    tick: background.tick,
    caughtUp: slots.caughtUp,
    async start() {
      for (const part of running) await part.start();
    },
    async close() {
      transfers.stopAll();
      for (const part of [...running].reverse()) await part.close();
    },
  };
}

function memberUrl(member: Member | undefined, keeper: OrgId): string {
  if (member === undefined) throw new CodedError('ORG_UNREACHABLE', 'The keeper is not in the network map.', { keeper });
  return member.url;
}
