/** Random walks of all parties over one slot on the real ledger: the contract goes where the step table leads, and nowhere else. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '#base/canonical-json.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { ChannelName } from '#model/ids.ts';
import { nextStates, slotSteps } from '#model/steps.ts';
import type { TemplateRef } from '#model/template.ts';
import { drcClient } from './client.ts';
import { answerInput, foundConsortium, inviteInput, noInput, publish, slotIn, templateOf, type Consortium } from './consortium.test-kit.ts';
import { codeOf, digestOf, EAST, INSURER, LAB, PEOPLE, startNetwork, type Network } from './network.test-kit.ts';

let network: Network;
let consortium: Consortium;
let template: TemplateRef;
let stranger: LedgerSigner;
beforeAll(async () => {
  network = await startNetwork();
  consortium = await foundConsortium(network);
  template = await publish(consortium, templateOf('walked'));
  stranger = await network.signer(PEOPLE, 'person');
});
afterAll(() => network.close());

const commands = ['withdrawSlot', 'invite', 'respond', 'refuse', 'revokeGrant', 'putReceipt', 'putErasure', 'reportSlot'] as const;
type Command = (typeof commands)[number];
const stepOf = (command: Command): string => (command === 'refuse' ? 'respond' : command);
const byDuo = (command: Command): boolean => command === 'invite' || command === 'putReceipt' || command === 'putErasure';

/** What the tables say of a slot so far. */
interface Told {
  readonly phase: string;
  readonly invited: boolean;
  readonly received: boolean;
  readonly erased: boolean;
}

/** The state after the command, undefined when it must be refused. */
function expected(told: Told, command: Command, right: boolean): Told | undefined {
  const next = nextStates(slotSteps, told.phase, stepOf(command) as (typeof slotSteps)[number]['step']);
  const phase = command === 'refuse' ? next.find((state) => state === 'refused') : next[0];
  if (!right || phase === undefined) return undefined;
  if (command === 'reportSlot' && !told.invited) return undefined;
  if ((command === 'putReceipt' && told.received) || (command === 'putErasure' && told.erased)) return undefined;
  return { phase, invited: told.invited || command === 'invite', received: told.received || command === 'putReceipt', erased: told.erased || command === 'putErasure' };
}

describe('a slot', () => {
  it('goes only where its steps lead, whoever tries what in whatever order', async () => {
    let walks = 0;
    const walk = fc.array(fc.tuple(fc.constantFrom(...commands), fc.constantFrom('right', 'right', 'right', 'wrong')), { minLength: 4, maxLength: 14 });
    await fc.assert(
      fc.asyncProperty(walk, async (steps) => {
        const { slot, holder } = await slotIn(consortium, { phase: 'open', name: `walk ${walks++}`, template });
        const inputs: Record<Command, unknown> = {
          withdrawSlot: { slot }, invite: inviteInput(slot, template), respond: answerInput(slot), refuse: noInput(slot), revokeGrant: { slot }, reportSlot: { slot, reason: 'other' },
          putReceipt: { slot, packageDigest: digestOf('p'), delivered: 1, verified: 1, keepers: [{ org: EAST, items: 1 }] }, putErasure: { slot, reason: 'early', receiptDigest: digestOf('e') },
        };
        let told: Told = { phase: 'open', invited: false, received: false, erased: false };
        for (const [command, who] of steps) {
          const right = who === 'right';
          const signer = byDuo(command) ? consortium.systemOf(right ? LAB : INSURER) : right ? holder : stranger;
          const code = await codeOf(network.ledger.submit({ channel: 'drc' as ChannelName, contract: 'drc', name: stepOf(command), input: inputs[command] as Json, signer }));
          const after = expected(told, command, right);
          expect(code === 'allowed', `${command} by the ${who} party in ${told.phase}: ${code}`).toBe(after !== undefined);
          told = after ?? told;
          const state = await drcClient(network.ledger, holder).evaluate('getSlot', { slot });
          expect({ phase: state.phase, invited: state.invitation !== undefined, received: state.receipt !== undefined, erased: state.erasure !== undefined }).toEqual(told);
        }
      }),
      { numRuns: 60 },
    );
  });
});
