import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromUtf8 } from '#base/bytes.ts';
import { compositeKey } from '#contracts/keys.ts';
import { instant } from '#model/ids.ts';
import { CON } from '#model/orgs.ts';
import { openTreeStore } from '#store/tree-store.ts';
import { EAST, LAB, PEOPLE, startNetwork, type TestNetwork } from './network.test-kit.ts';
import { createTimeFloor } from './time-floor.ts';
import { testMemory } from './witness/memory.test-kit.ts';
import { createWitness, type Witness } from './witness/witness.ts';

let network: TestNetwork;
const open: Witness[] = [];
beforeAll(async () => {
  network = await startNetwork();
});
afterAll(async () => {
  await Promise.all(open.map((witness) => witness.close()));
  await network.close();
});

describe('the time floor', () => {
  it('moves when two members claim the time, and nobody writes more than is needed', async () => {
    const members = await Promise.all(
      [PEOPLE, EAST, LAB].map(async (org) => {
        const deps = network.deps(org);
        const witness = createWitness({ ...deps, heads: testMemory().heads, channel: CON, store: openTreeStore(':memory:') });
        open.push(witness);
        await witness.start();
        return { witness, floor: createTimeFloor({ ...deps, witnesses: [witness], everySeconds: 60 }) };
      }),
    );
    const caughtUp = () => Promise.all(members.map(({ witness }) => witness.caughtUp(network.embedded.height(CON) - 1)));
    const round = async (): Promise<number> => {
      const before = network.embedded.height(CON);
      for (const { floor } of members) {
        await caughtUp();
        await floor.tick();
      }
      await caughtUp();
      return network.embedded.height(CON) - before;
    };
    const floor = (): string => JSON.parse(fromUtf8(members[0]?.witness.lastWrite({ namespace: 'con', key: compositeKey(['time-floor']) })?.value ?? new Uint8Array())).at as string;

    await caughtUp();
    const first = network.clock.now();
    expect(await round()).toBe(2);
    expect(floor()).toBe(instant(first));
    expect(await round()).toBe(0);
    network.clock.advance(61_000);
    // Two claims move the floor; the third member sees both.
    expect(await round()).toBe(2);
    expect(floor()).toBe(instant(first + 61_000));
    expect(await round()).toBe(0);
  });
});
