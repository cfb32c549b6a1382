/**
 * Our contracts behind unmodified fabric-shim, in processes of their own, beside themselves in this process: every proposal
 * of a story is endorsed both ways, and the endorsed bytes (answer, event, read and write sets) must be equal.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '#base/bytes.ts';
import { silentLog } from '#base/ports.ts';
import { external, startChild, type Child } from '#ledger/conformance/external.test-kit.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { Envelope } from '#ledger/protos/common.ts';
import { EndorseResponse } from '#ledger/protos/gateway.ts';
import type { ExternalChaincode } from '#ledger/embedded/external-chaincode.ts';
import { readAction, readEnvelope } from '#ledger/transaction.ts';
import { isGatewayFault, type GatewayTransport } from '#ledger/transport.ts';
import type { IndexTag, PairwiseId, RecordId, Signature, SubjectId } from '#model/ids.ts';
import { INDEX_ENTRY_BYTES } from '#model/messages.ts';
import { channelOrgs, contractOf, endorsementsNeeded, type ChannelKind } from '#model/orgs.ts';
import { realScheduler, seededRandom } from '#sim/seams.ts';
import { contractClient, hdcClient, uicClient } from './client.ts';
import { catalogue } from './catalogue.ts';
import { foundConsortium, publish, slotIn, templateOf, type Consortium } from './consortium.test-kit.ts';
import { CHANNELS, codeOf, contracts, digestOf, EAST, everyRole, idOf, keyOf, LAB, ORGS, PEOPLE, sealedOf, startNetwork, type Network } from './network.test-kit.ts';
import { samples } from './samples.test-kit.ts';

const children = new Map<ChannelKind, Child>();
const attached: ExternalChaincode[] = [];
let network: Network;
let consortium: Consortium;
let outside = false;
const compared = { endorsed: 0, evaluated: 0, refused: 0 };

beforeAll(async () => {
  network = await startNetwork();
  await Promise.all((Object.keys(contracts) as ChannelKind[]).map(async (kind) => {
    children.set(kind, await startChild({ module: new URL(`./${kind}.ts`, import.meta.url).href, name: `${kind}Contract` }));
  }));
  for (const channel of CHANNELS) {
    const kind = contractOf(channel);
    const beside = external(children.get(kind)?.address ?? '', { log: silentLog });
    attached.push(beside);
    await network.embedded.deploy({ channel, name: kind, chaincode: { Invoke: (stub) => (outside ? beside : contracts[kind]).Invoke(stub) }, needed: endorsementsNeeded(channel, channelOrgs(channel, ORGS).peers) });
  }
  const ledger = createLedgerClient({ transport: twice(network.embedded.transport()), clock: network.clock, random: seededRandom('beside'), scheduler: realScheduler });
  network = { ...network, ledger };
  consortium = await foundConsortium(network);
});

afterAll(async () => {
  for (const contract of attached) contract.close();
  await network.close();
  for (const child of children.values()) await child.kill();
});

/** Asks in this process first, then in the other, and holds the two answers against each other. */
function twice(transport: GatewayTransport): GatewayTransport {
  const ask = async (work: () => Promise<Uint8Array>, elsewhere: boolean): Promise<Uint8Array | Error> => {
    outside = elsewhere;
    try {
      return await work();
    } catch (error) {
      return error as Error;
    } finally {
      outside = false;
    }
  };
  const both = async (work: () => Promise<Uint8Array>, part: (answer: Uint8Array) => Uint8Array, kind: 'endorsed' | 'evaluated'): Promise<Uint8Array> => {
    const [here, there] = [await ask(work, false), await ask(work, true)];
    if (here instanceof Error || there instanceof Error) {
      expect(faultOf(there)).toEqual(faultOf(here));
      compared.refused++;
      throw here;
    }
    expect(toHex(part(there))).toBe(toHex(part(here)));
    compared[kind]++;
    return there;
  };
  return {
    ...transport,
    endorse: (request, signal) => both(() => transport.endorse(request, signal), endorsedBytes, 'endorsed'),
    evaluate: (request, signal) => both(() => transport.evaluate(request, signal), (answer) => answer, 'evaluated'),
  };
}

const faultOf = (answer: Uint8Array | Error): unknown => (isGatewayFault(answer) ? { code: answer.code, message: answer.message, refusals: answer.refusals } : answer);
const endorsedBytes = (answer: Uint8Array): Uint8Array => readAction(readEnvelope(Envelope.encode({ payload: EndorseResponse.decode(answer).preparedTransaction?.payload ?? new Uint8Array(0) }))).responsePayload;

describe('our contracts behind fabric-shim', () => {
  it('found the consortium, publish a template and lead slots through their phases', async () => {
    const template = await publish(consortium, templateOf('beside'));
    for (const phase of ['open', 'withdrawn', 'invited', 'refused', 'answered', 'revoked'] as const) await slotIn(consortium, { phase, name: `beside ${phase}`, template });
  });

  it('keep the index and the anchors', async () => {
    const person = await network.signer(PEOPLE, 'person', idOf('beside person'));
    // Every entry is written with a certificate of its own.
    for (let entry = 0; entry < 3; entry++) await uicClient(network.ledger, await network.signer(PEOPLE, 'person')).submit('putEntry', { tag: digestOf(`tag ${entry}`) as unknown as IndexTag, sealed: sealedOf(INDEX_ENTRY_BYTES) });
    await uicClient(network.ledger, person).evaluate('getEntry', { tag: digestOf('tag 1') as unknown as IndexTag });
    const keeper = hdcClient(network.ledger, { keeper: EAST, signer: await network.signer(EAST, 'system') });
    const subject = idOf<SubjectId>('beside subject');
    await keeper.submit('linkOwner', { subject, owner: idOf<PairwiseId>('beside person'), key: keyOf(person), linkDigest: digestOf('beside link') });
    const ids = Array.from({ length: 130 }, (_, at) => idOf<RecordId>(`beside record ${at}`));
    for (let at = 0; at < ids.length; at += 50) await keeper.submit('anchorRecords', { anchors: ids.slice(at, at + 50).map((id) => ({ id, subject, commitment: digestOf(id), signature: 's'.repeat(96) as Signature, class: 'clinical' as const })) });
    let bookmark = '';
    let listed = 0;
    do {
      const page = await keeper.evaluate('listAnchors', { bookmark, pageSize: 50 });
      bookmark = page.bookmark;
      listed += page.anchors.length;
    } while (bookmark !== '');
    expect(listed).toBe(130);
    expect((await keeper.evaluate('getAnchors', { ids: ids.slice(0, 3) })).anchors).toHaveLength(3);
  });

  it('say the same to every role about every transaction', async () => {
    for (const channel of ['uic', 'hdc-east', 'drc', 'con'] as typeof CHANNELS) {
      const kind = contractOf(channel);
      for (const org of [PEOPLE, channel === 'hdc-east' ? EAST : LAB]) {
        for (const signer of await everyRole(network, org)) {
          const client = contractClient(network.ledger, { channel, signer });
          for (const [name, input] of Object.entries(samples[kind])) {
            const writes = Object.hasOwn(catalogue[kind].events, name);
            await codeOf(writes ? client.submit(name as never, input as never) : client.evaluate(name as never, input as never));
          }
        }
      }
    }
  });

  it('were compared often enough to say so', () => {
    console.log(`compared: ${compared.endorsed} endorsements, ${compared.evaluated} evaluations, ${compared.refused} refusals`);
    expect(compared.endorsed).toBeGreaterThan(30);
    expect(compared.evaluated).toBeGreaterThan(20);
    expect(compared.refused).toBeGreaterThan(100);
  });
});
