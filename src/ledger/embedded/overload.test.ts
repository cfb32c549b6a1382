/** More calls than a channel takes: what is refused, what is kept, and who is not touched by it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { isCoded } from '#base/errors.ts';
import { openTestNetwork, type TestNetwork } from '../conformance/embedded.test-kit.ts';
import type { LedgerClient, LedgerSigner } from '../client.ts';
import { createHttpRelay } from '../http-relay.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { createHttpTransport } from '../http-transport.ts';
import type { GatewayTransport } from '../transport.ts';
import { LIMITS } from './turnstile.ts';

/** So many that places, queue and the same again are asked for at once. */
const FLOOD = (LIMITS.places + LIMITS.waitingEach) * 2;

describe('a channel that is asked too much', () => {
  let network: TestNetwork;
  let client: LedgerClient;
  const steps = (key: string): [string, string, string][] => [['put', key, 'x']];
  const submit = (key: string, signer: LedgerSigner, by = client): Promise<string> => by.submit({ channel: 'either', contract: 'probe', name: 'run', input: steps(key), signer }).then(
    () => 'committed',
    (error: unknown) => (isCoded(error) ? error.code : String(error)),
  );
  /** One that says at once what it heard. */
  const clientOver = (transport: GatewayTransport): LedgerClient => createLedgerClient({ transport, clock: systemClock, random: systemRandom, scheduler: realScheduler, busyWait: 0 });
  const count = (outcomes: readonly string[], wanted: string): number => outcomes.filter((outcome) => outcome === wanted).length;

  beforeAll(async () => {
    network = await openTestNetwork({ clock: systemClock });
    client = clientOver(network.ledger.transport());
  });
  afterAll(() => network.ledger.close());

  it('refuses the rest with a code, commits all it took, leaves the other organisation alone, and works on afterwards', async () => {
    const { a, b } = network.orgs;
    const flood = Array.from({ length: FLOOD }, (_, index) => submit(`flood-${index}`, a.client.signer));
    const neighbours = Array.from({ length: 20 }, (_, index) => submit(`neighbour-${index}`, b.client.signer));
    expect(await Promise.all(neighbours)).toEqual(neighbours.map(() => 'committed'));
    const outcomes = await Promise.all(flood);
    const committed = count(outcomes, 'committed');
    expect(committed + count(outcomes, 'LEDGER_BUSY')).toBe(FLOOD);
    expect(committed).toBeGreaterThanOrEqual(LIMITS.places);
    expect(committed).toBeLessThan(FLOOD);
    const stored = (await client.evaluate({ channel: 'either', contract: 'probe', name: 'run', input: [['rangeKeys', 'flood-', 'flood.']], signer: b.client.signer })) as [string[]];
    expect(stored[0]).toEqual(outcomes.flatMap((outcome, index) => (outcome === 'committed' ? [`flood-${index}`] : [])).sort());
    expect(await submit('afterwards', a.client.signer)).toBe('committed');
  });

  it('takes all of it in the end when the clients come again', async () => {
    const patient = createLedgerClient({ transport: network.ledger.transport(), clock: systemClock, random: systemRandom, scheduler: realScheduler });
    const outcomes = await Promise.all(Array.from({ length: FLOOD }, (_, index) => submit(`patient-${index}`, network.orgs.a.client.signer, patient)));
    expect(count(outcomes, 'committed')).toBe(FLOOD);
  });

  it('says over HTTP when to come back', async () => {
    const relay = createHttpRelay({ transport: network.ledger.transport() });
    const answers: Response[] = [];
    const fetch = async (request: Request): Promise<Response> => {
      const response = await relay(request);
      answers.push(response);
      return response;
    };
    const over = clientOver(createHttpTransport({ baseUrl: 'http://ledger.example', fetch }));
    const outcomes = await Promise.all(Array.from({ length: FLOOD }, (_, index) => submit(`relayed-${index}`, network.orgs.a.client.signer, over)));
    const refused = answers.filter((answer) => !answer.ok);
    expect(refused.length).toBe(count(outcomes, 'LEDGER_BUSY'));
    expect(new Set(refused.map((answer) => `${answer.status} ${answer.headers.get('retry-after')}`))).toEqual(new Set(['429 1']));
  });
});
