/** Who may do what: units, attributes, organisations, certificates that ended or were taken back. */
import { expect } from 'vitest';
import type { Case } from './case.ts';

const denied = { code: 'LEDGER_ACCESS_DENIED' };

export const accessCases: readonly Case[] = [
  { rule: 'the contract sees the unit of an administrator, and no attributes where there are none', fabric: 'observed', run: async (l) => expect(await l.evaluate('adminA', 'solo', [['caller']])).toEqual([[l.msp.a, expect.any(String), 'admin', '', 32]]) },
  { rule: 'and that of a peer', fabric: 'observed', run: async (l) => expect(await l.evaluate('peerA', 'solo', [['caller']])).toEqual([[l.msp.a, expect.any(String), 'peer', '', 32]]) },
  { rule: 'administrators submit like clients', fabric: 'documented', run: async (l) => { const key = l.key(); await l.submit('adminA', 'solo', [['put', key, 'x']]); expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['x']); } },
  { rule: 'a client of one member reads what another member\'s wrote', fabric: 'observed', run: async (l) => { const key = l.key(); await l.submit('a', 'either', [['put', key, 'from A']]); expect(await l.sees('b', 'either', [['get', key]], ['from A'])).toEqual(['from A']); } },
  {
    rule: 'the status of a transaction is told to members of its channel only', fabric: 'source',
    run: async (l) => {
      const endorsed = await l.hand.endorse({ who: 'a', channel: 'either', steps: [['put', l.key(), 'x']] });
      await endorsed.commit();
      expect((await endorsed.status({ as: l.signers.b })).code).toBe('VALID');
      await expect(endorsed.status({ as: l.signers.c })).rejects.toMatchObject(denied);
    },
  },
  { rule: 'events of a channel whose member one is not are not told', fabric: 'observed', run: async (l) => expect(l.client.events({ channel: l.channel('theirs'), contract: 'probe', startBlock: 0, signer: l.signers.a })[Symbol.asyncIterator]().next()).rejects.toMatchObject(denied) },
  { rule: 'nor are its blocks, whatever the unit', fabric: 'observed', run: async (l) => expect(l.client.blocks({ channel: l.channel('theirs'), startBlock: 0, signer: l.signers.peerA })[Symbol.asyncIterator]().next()).rejects.toMatchObject(denied) },
  { rule: 'a certificate whose time is over is refused', fabric: 'documented', needs: 'expiry', run: async (l) => expect(l.hand.evaluate({ who: 'a', channel: 'solo', steps: [['get', 'x']], signer: l.expiry?.signer ?? l.signers.a })).rejects.toMatchObject(denied) },
  {
    rule: 'a certificate that was taken back is refused everywhere, for what is new and for what it had endorsed', fabric: 'documented', needs: 'revocation',
    run: async (l) => {
      const { signer, revoke } = l.revocation ?? { signer: l.signers.a, revoke: async () => undefined };
      const call = { who: 'a' as const, channel: 'either' as const, steps: [['put', l.key(), 'x'] as const], signer };
      const before = await l.hand.endorse(call);
      expect((await before.commit()).code).toBe('VALID');
      const underWay = await l.hand.endorse(call);
      await revoke();
      await expect(l.hand.evaluate(call)).rejects.toMatchObject(denied);
      await expect(l.hand.endorse(call)).rejects.toMatchObject(denied);
      await expect(underWay.commit()).rejects.toMatchObject(denied);
      expect((await l.hand.evaluate({ ...call, signer: l.signers.a })) as unknown[]).toHaveLength(1);
    },
  },
];
