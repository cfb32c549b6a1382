/**
 * A health organisation: keeps records, anchors commitments to them on its own channel, tells owners, and releases only on
 * an owner's proven order. Built from its parts here; every part takes what it needs and nothing else.
 */
import { toBase64url, utf8 } from '#base/bytes.ts';
import { hospitalEndpoints, type LeafProof } from '#api/endpoints.ts';
import { compositeKey } from '#contracts/keys.ts';
import { conClient, hdcClient } from '#contracts/client.ts';
import { readCertificate } from '#crypto/x509.ts';
import { CON, contractOf, hdcOf } from '#model/orgs.ts';
import type { BlobStore, RecordStore } from '#store/ports.ts';
import type { TreeStore } from '#store/tree-store.ts';
import { createConsortium, type Consortium } from '../consortium.ts';
import { createCosigners } from '../cosigners.ts';
import { createHttpInterface } from '../http-interface.ts';
import { createMetrics, type Metrics } from '../metrics.ts';
import { createTimeFloor } from '../time-floor.ts';
import { createTurnstile } from '../turnstile.ts';
import type { Org, OrgDeps } from '../types.ts';
import { createExchange, createMemory } from '../witness/exchange.ts';
import { createWitness, type Witness } from '../witness/witness.ts';
import { createAccessHeads } from './access-heads.ts';
import { openAccessLog, type AccessLog } from './access-log.ts';
import { createAnchoring, type Anchoring } from './anchoring.ts';
import { createAudit } from './audit.ts';
import { createLoop, type Loop } from './background.ts';
import { createDeliveryKeys } from './delivery-keys.ts';
import { deskHandlers } from './desk-handlers.ts';
import { withDoorLog } from './door-log.ts';
import { createErasures } from './erasure.ts';
import { createGate } from './gate.ts';
import { createGrants } from './grants.ts';
import { createIngest, type Ingest } from './ingest.ts';
import { createLinking } from './linking.ts';
import { createLiveness } from './liveness.ts';
import { sendNotices } from './notices.ts';
import { ownerHandlers } from './owner-handlers.ts';
import { createOwners } from './owners.ts';
import { createPeople } from './people.ts';
import { createProofs, type Proofs } from './proofs.ts';
import { recipientHandlers } from './recipient-handlers.ts';
import { createReleases } from './release.ts';
import { followRevocations } from './revocations.ts';
import { createSweep, type Sweep } from './sweep.ts';
import { createTags } from './tags.ts';
import { tamperCheck, type TamperReport } from './tamper-check.ts';

export interface HospitalDeps extends OrgDeps {
  readonly recordStore: RecordStore;
  readonly blobStore: BlobStore;
  readonly treeStore: TreeStore;
  readonly config?: HospitalConfig;
}

export interface HospitalConfig {
  /** Bundles in hand at once; others wait. */
  readonly bundlesAtOnce?: number;
  readonly bundlesWaiting?: number;
  readonly checkpointSeconds?: number;
  readonly accessHeadSeconds?: number;
  readonly noticeSeconds?: number;
  /** Seconds between two pages of the check that never ends; 0 switches it off. */
  readonly sweepSeconds?: number;
  readonly timeFloorSeconds?: number;
  /** Origins of portals that may call from a browser. */
  readonly origins?: readonly string[];
}

export interface Hospital extends Org {
  readonly consortium: Consortium;
  /** By channel: its HDC, then CON. */
  readonly witnesses: readonly Witness[];
  readonly accessLog: AccessLog;
  readonly proofs: Proofs;
  readonly sweep: Sweep;
  ingest: Ingest['ingest'];
  /** Names every changed, missing and extra record. */
  tamperCheck(): Promise<TamperReport>;
  /** Resolves when what a crash left behind is done: anchors, links, erasures. */
  settled(): Promise<void>;
}

const DEFAULTS = { bundlesAtOnce: 3, bundlesWaiting: 64, checkpointSeconds: 2, accessHeadSeconds: 1, noticeSeconds: 5, sweepSeconds: 1 } as const;
const RESUME_SECONDS = 5;
const GAUGES_SECONDS = 10;
/** A crash leaves at most the bodies of the bundles in hand without rows. */
const ORPHANS_LOOKED_AT = 50_000;

export async function createHospital(deps: HospitalDeps): Promise<Hospital> {
  const { identity, store, clock, random, scheduler, log, ledger, recordStore: records, blobStore: bodies } = deps;
  const { org, system } = identity;
  const config = { ...DEFAULTS, ...deps.config };
  const channel = hdcOf(org);
  const metrics = createMetrics();
  const signer = await keepCertificate(deps);
  await dropOrphans(deps);

  const consortium = createConsortium({ org, signer: system, ledger, fetch: deps.fetch, clock, scheduler, log });
  const memory = createMemory({ deps, consortium });
  const witness = (of: typeof channel): Witness => createWitness({ channel: of, ledger, identity, store: deps.treeStore, heads: memory.heads, clock, scheduler, log });
  const [hdcWitness, conWitness] = [witness(channel), witness(CON)];
  const witnesses = [hdcWitness, conWitness];
  const exchange = createExchange({ deps, consortium, witnesses, memory });
  const hdc = hdcClient(ledger, { keeper: org, signer: system });
  const people = createPeople({ consortium, clock });
  const cosigners = createCosigners({ deps, consortium });
  const proofs = createProofs({ keeper: org, hdc: hdcWitness, con: conWitness, consortium: conClient(ledger, system), cosigners, ledger, peer: identity.peer, scheduler, log });
  const deliveryKeys = createDeliveryKeys({ keeper: org, vault: identity.hpke, random });
  const tags = createTags(identity.hpke.privateKey);
  const accessLog = await openAccessLog({ records, clock });
  const audit = createAudit(accessLog);
  const grants = createGrants(store);
  const liveness = createLiveness({ grants, hdc, clock });

  const loops = new Map<string, Loop>();
  const loop = (name: string, everySeconds: number, run: (signal: AbortSignal) => Promise<void>): Loop => {
    const made = createLoop({ name, scheduler, log, everyMs: everySeconds * 1_000, run });
    loops.set(name, made);
    return made;
  };
  const notices = loop('notices', config.noticeSeconds, (signal) => sendNotices({ keeper: org, records, deliveryKeys, consortium, signer: system, fetch: deps.fetch, clock, random, scheduler, log }, signal));
  let unpinned = true;
  loop('checkpoints', config.checkpointSeconds, async () => {
    if (!unpinned) return;
    unpinned = false;
    await proofs.pin().catch((error: unknown) => {
      unpinned = true;
      throw error;
    });
  });
  const onAnchored = (count: number): void => {
    metrics.count('healthkeep_records_anchored_total', {}, count);
    unpinned = true;
    notices.wake();
  };
  const anchoring = createAnchoring({ records, hdc, locate: (record) => proofs.locate(record), scheduler, log, onAnchored });
  const patients = createTurnstile();
  const linking = createLinking({ keeper: org, records, hdc, people, tags, clock, random, patients, log, onLinked: () => notices.wake() });
  const erasures = createErasures({ keeper: org, records, bodies, store, hdc, signer: system, clock });
  const ingest = createIngest({
    keeper: org, records, bodies, anchoring, deliveryKeys, signer, tags, clock, random,
    sealer: { keeper: org, random, sign: (message) => system.sign(message) },
    gate: createGate({ atOnce: config.bundlesAtOnce, waitingMax: config.bundlesWaiting }),
    patients,
    logged: (access) => accessLog.append(access),
  });
  const accessHeads = createAccessHeads({ accessLog, hdc });
  loop('access-heads', config.accessHeadSeconds, () => accessHeads.commit());
  const tamper = { keeper: org, records, bodies, deliveryKeys, hdc };
  const sweep = createSweep({ ...tamper, metrics, log, total: async () => { const { stored, anchored, erased } = await records.counts(); return stored + anchored + erased; } });
  if (config.sweepSeconds > 0) loop('sweep', config.sweepSeconds, () => sweep.step());
  loop('gauges', GAUGES_SECONDS, () => setGauges({ metrics, records, grants }));
  const resumed = resumption(loop, async () => {
    // Each gets its chance, whatever becomes of the others.
    const outcomes = await Promise.allSettled([linking.resume(), erasures.resume(), anchoring.resume()]);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  });
  const check = (): Promise<TamperReport> => tamperCheck(tamper);
  const releases = createReleases({ keeper: org, records, deliveryKeys, grants, hdc, people, answerProof: { members: () => consortium.members(), clock }, signer: system, clock });
  const owners = createOwners({ records });
  const handlers = {
    ...ownerHandlers({ keeper: org, records, bodies, store, signer: system, owners, audit, accessLog, headProof: () => headProof(hdcWitness), hdc, proofs, releases, grants, erasures }),
    ...recipientHandlers({ bodies, grants, liveness, proofs, audit, log }),
    ...deskHandlers({ audit, ingest, linking, tamperCheck: check }),
  };
  const timeFloor = createTimeFloor({ identity, ledger, witnesses, clock, random, scheduler, log, ...(config.timeFloorSeconds === undefined ? {} : { everySeconds: config.timeFloorSeconds }) });
  const stopped = new AbortController();
  let following: Promise<void> = Promise.resolve();

  return {
    org, consortium, exchange, witnesses, accessLog, proofs, sweep,
    ingest: ingest.ingest,
    tamperCheck: check,
    settled: () => resumed,
    fetch: withDoorLog(createHttpInterface({ deps, table: hospitalEndpoints, handlers, consortium, witnesses, exchange, metrics, title: `Health organisation ${org}`, ...(config.origins === undefined ? {} : { origins: config.origins }) }), { keeper: org, accessLog, log }),
    async start() {
      await consortium.start();
      await Promise.all(witnesses.map((one) => one.start()));
      following = followRevocations({ channel, ledger, signer: system, grants, store, scheduler, log }, stopped.signal);
      for (const one of loops.values()) one.start();
      timeFloor.start();
      exchange.start();
    },
    async close() {
      stopped.abort();
      await closeAll(anchoring, [...loops.values(), timeFloor, exchange, ...witnesses, consortium], following);
    },
  };
}

/** Where the access log's head stands in the channel's tree, which every member watches. */
async function headProof(witness: Witness): Promise<LeafProof | undefined> {
  const place = { namespace: contractOf(witness.channel), key: compositeKey(['access-head']) };
  return witness.lastWrite(place) === undefined ? undefined : witness.proofOf(place);
}

async function closeAll(anchoring: Anchoring, parts: readonly { close(): Promise<void> }[], following: Promise<void>): Promise<void> {
  await Promise.all([anchoring.close(), following, ...parts.map((part) => part.close())]);
}

/** Runs once, again after a while when it failed; resolves when it went through. */
function resumption(loop: (name: string, everySeconds: number, run: () => Promise<void>) => Loop, work: () => Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    let done = false;
    loop('resume', RESUME_SECONDS, async () => {
      if (done) return;
      await work();
      done = true;
      resolve();
    });
  });
}

/** Remembers the certificate that signs from now on; deliveries name it by fingerprint. */
async function keepCertificate({ identity, store }: HospitalDeps): Promise<string> {
  const { certificate } = identity.system;
  const fingerprint = toBase64url(readCertificate(certificate).fingerprint);
  await store.write(new Map([[`signer/${fingerprint}`, utf8(certificate)]]));
  return fingerprint;
}

/** Bodies whose rows a crash prevented: nobody was told of them, and nothing can open them. */
async function dropOrphans({ recordStore, blobStore, log }: HospitalDeps): Promise<void> {
  const recent = await blobStore.recent(ORPHANS_LOOKED_AT);
  const held = await recordStore.states(recent);
  const orphans = recent.filter((id) => !held.has(id));
  if (orphans.length === 0) return;
  await blobStore.shred(orphans);
  log('info', 'bodies.swept', { bodies: orphans.length });
}

/** Figures that are counted rather than followed. */
async function setGauges({ metrics, records, grants }: { readonly metrics: Metrics; readonly records: RecordStore; readonly grants: { inFlight(): number } }): Promise<void> {
  const { stored, anchored, erased, deliveries, subjects } = await records.counts();
  for (const [state, count] of Object.entries({ stored, anchored, erased })) metrics.set('healthkeep_records', count, { state });
  metrics.set('healthkeep_deliveries', deliveries);
  metrics.set('healthkeep_subjects', subjects);
  metrics.set('healthkeep_transfers_in_flight', grants.inFlight());
}
