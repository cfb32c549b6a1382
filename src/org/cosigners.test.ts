import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Handlers } from '#api/handlers.ts';
import type { EndpointTable } from '#api/endpoint.ts';
import { noteSignatures, signNote, verifyNoteSignature } from '#crypto/checkpoint.ts';
import type { OrgId } from '#model/ids.ts';
import { CON } from '#model/orgs.ts';
import { rememberingLog } from '#sim/seams.ts';
import { openTreeStore } from '#store/tree-store.ts';
import { createConsortium, type Consortium } from './consortium.ts';
import { createCosigners } from './cosigners.ts';
import { createHttpInterface } from './http-interface.ts';
import { createMetrics } from './metrics.ts';
import { EAST, INSURER, LAB, PEOPLE, startNetwork, urlOf, WEST, type TestNetwork } from './network.test-kit.ts';
import { createExchange, createMemory } from './witness/exchange.ts';
import { createWitness, type Witness } from './witness/witness.ts';

let network: TestNetwork;
const closing: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  network = await startNetwork();
});
afterAll(async () => {
  await Promise.all(closing.map((one) => one.close()));
  await network.close();
});

async function member(org: OrgId): Promise<{ readonly witness: Witness; readonly consortium: Consortium }> {
  const deps = network.deps(org);
  const consortium = createConsortium({ org, signer: deps.identity.system, ledger: deps.ledger, fetch: deps.fetch, clock: deps.clock, scheduler: deps.scheduler, log: deps.log });
  const memory = createMemory({ deps, consortium });
  const witness = createWitness({ ...deps, heads: memory.heads, channel: CON, store: openTreeStore(':memory:') });
  closing.push(consortium, witness);
  await consortium.start();
  await witness.start();
  await witness.caughtUp(network.embedded.height(CON) - 1);
  network.wire.attach(urlOf(org), createHttpInterface({ deps, table: {} as EndpointTable, handlers: {} as Handlers<EndpointTable>, consortium, witnesses: [witness], exchange: createExchange({ deps, consortium, witnesses: [witness], memory }), metrics: createMetrics(), title: 'test' }));
  return { witness, consortium };
}

describe('co-signers', () => {
  it('sign what they saw themselves; unreachable ones and bad signatures are left out', async () => {
    const log = rememberingLog();
    const lab = await member(LAB);
    await member(EAST);
    // West answers with somebody else's key and adds a line in the insurer's name.
    network.wire.attach(urlOf(WEST), async (request) => {
      const { note } = (await request.json()) as { note: string };
      const forger = network.identity(EAST).peer;
      const forged = await signNote(await signNote(note, { name: WEST, certificate: forger.certificate, sign: (message) => forger.sign(message) }), { name: INSURER, certificate: forger.certificate, sign: (message) => forger.sign(message) });
      return Response.json({ note: forged });
    });
    const collected = await createCosigners({ deps: network.deps(LAB, log.log), consortium: lab.consortium }).collect(await lab.witness.checkpoint());
    expect(noteSignatures(collected).map((signature) => signature.name)).toEqual([LAB, EAST].sort());
    for (const org of [LAB, EAST]) expect(await verifyNoteSignature(collected, { name: org, rootCertificate: network.identity(org).ca.certificate, at: network.clock.now() })).toBe(true);
    expect(log.lines.filter((line) => line.event === 'cosigners.refused').map((line) => `${line.fields['org']} ${line.fields['code']}`).sort()).toEqual([`${INSURER} ORG_UNREACHABLE`, `${PEOPLE} ORG_UNREACHABLE`, `${WEST} CHECKPOINT_INVALID`].sort());
  });

  it('are too few when nobody else answers', async () => {
    const lab = await member(LAB);
    for (const org of [EAST, WEST, PEOPLE, INSURER]) network.wire.detach(urlOf(org));
    await expect(createCosigners({ deps: network.deps(LAB), consortium: lab.consortium }).collect(await lab.witness.checkpoint())).rejects.toMatchObject({ code: 'WITNESS_BEHIND' });
  });

  it('stop everything when one saw another ledger', async () => {
    const lab = await member(LAB);
    const east = await member(EAST);
    const peer = network.identity(LAB).peer;
    const note = (await lab.witness.checkpoint()).split('\n\n')[0] as string;
    const [origin, size, , ...rest] = note.split('\n');
    const other = await signNote(`${[origin, size, btoa('\0'.repeat(32)), ...rest].join('\n')}\n`, { name: LAB, certificate: peer.certificate, sign: (message) => peer.sign(message) });
    expect(east.witness.size()).toBe(Number(size));
    await expect(createCosigners({ deps: network.deps(LAB), consortium: lab.consortium }).collect(other)).rejects.toMatchObject({ code: 'CHECKPOINT_FORKED' });
  });
});
