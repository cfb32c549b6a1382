/** A network's ledger moves over gRPC to an empty one, stopped at every step and begun again. The whole story with it: move.slow.ts. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toBase64url, fromBase64url, utf8 } from '#base/bytes.ts';
import { contractClient } from '#contracts/client.ts';
import { archiveFile, checkArchive } from '#ledger/embedded/archive.ts';
import type { LedgerClient } from '#ledger/client.ts';
import type { ChannelName, OrgId } from '#model/ids.ts';
import type { StateRow } from '#model/move.ts';
import { channelsOf, CON, hdcOf } from '#model/orgs.ts';
import { organisationsIn } from '#org/move/likeness.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';
import { DEMO_MEMBERS, EAST } from './members.ts';
import { moveLedger } from './move.ts';
import { bringUp, openBoth } from './move.test-kit.ts';
import { systemClock } from './seams.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-move-'));
const next = mkdtempSync(join(tmpdir(), 'healthkeep-move-next-'));
const archive = join(folder, 'archive');
afterAll(() => [folder, next].forEach((one) => rmSync(one, { recursive: true, force: true })));

beforeAll(() => bringUp(folder), 120_000);

describe('a target', () => {
  it('with other members is refused before anything is frozen', async () => {
    const other = mkdtempSync(join(tmpdir(), 'healthkeep-move-other-'));
    const both = await openBoth(folder, other, DEMO_MEMBERS.slice(0, 4));
    try {
      await expect(moveLedger({ identities: both.identities, source: both.source, target: both.target, archive, progress: () => undefined })).rejects.toMatchObject({ code: 'MOVE_TARGET_OTHER' });
      const asked = contractClient(both.source.clientOf('UO-people' as OrgId), { channel: CON as ChannelName, signer: both.identities.get('UO-people' as OrgId)?.operator as never });
      expect((await asked.evaluate('getMove', {})).move.freeze?.frozen ?? false).toBe(false);
    } finally {
      await both.close();
      rmSync(other, { recursive: true, force: true });
    }
  }, 120_000);

  it('that holds a state already is refused', async () => {
    const other = mkdtempSync(join(tmpdir(), 'healthkeep-move-full-'));
    try {
      await (await openBoth(folder, other)).close();
      await bringUp(other);
      const both = await openBoth(folder, other);
      await expect(moveLedger({ identities: both.identities, source: both.source, target: both.target, archive, progress: () => undefined })).rejects.toMatchObject({ code: 'CHANNEL_NOT_EMPTY' });
      await both.close();
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  }, 120_000);
});

describe('what is changed on its way', () => {
  it('is found by whoever seals, and named', async () => {
    const [copy, other] = [mkdtempSync(join(tmpdir(), 'healthkeep-move-copy-')), mkdtempSync(join(tmpdir(), 'healthkeep-move-lied-'))];
    cpSync(folder, copy, { recursive: true });
    const both = await openBoth(copy, other);
    try {
      const lying = (client: LedgerClient): LedgerClient => ({
        ...client,
        submit: (call) => {
          if (call.name !== 'importChunk') return client.submit(call);
          const { rows, number } = call.input as { readonly rows: readonly StateRow[]; readonly number: number };
          return client.submit({ ...call, input: { number, rows: rows.map((row) => (row.key.includes('\u0000directory\u0000') ? { ...row, value: toBase64url(utf8('{"version":9}')) } : row)) } as never });
        },
      });
      const target = { ...both.target, clientOf: (org: OrgId) => lying(both.target.clientOf(org)) };
      const refused = moveLedger({ identities: both.identities, source: both.source, target, archive: join(copy, 'archive'), progress: () => undefined });
      await expect(refused).rejects.toMatchObject({ code: 'STATE_ROOT_DIFFERS', details: { why: expect.stringContaining('~directory~') as string } });
      const asked = contractClient(both.target.clientOf(EAST.org), { channel: CON, signer: (both.identities.get(EAST.org) as KeptOrgIdentity).operator });
      expect((await asked.evaluate('getMove', {})).move.import).toMatchObject({ sealed: false, sealedBy: [] });
    } finally {
      await both.close();
      [copy, other].forEach((one) => rmSync(one, { recursive: true, force: true }));
    }
  }, 120_000);
});

describe('a network that moves', () => {
  it('goes on where it was after being stopped at any step, with the same roots on both sides', async () => {
    const both = await openBoth(folder, next);
    try {
      const { identities, source, target, ledger, other } = both;
      const east = identities.get(EAST.org) as KeptOrgIdentity;
      const at = systemClock.now();
      await ledger.updateCrl({ channel: CON, mspId: EAST.org, crl: await east.ca.issueCrl([{ certificate: east.staff.certificate, at }], at), signer: east.operator });
      let stops = 0;
      const move = (stopAfter: number) => {
        let steps = 0;
        return moveLedger({ identities, source, target, archive, chunkRows: 2, tablesOf: (channel, leaveOut) => ledger.stateRoot(channel, leaveOut), progress: () => {
          if (++steps > stopAfter) throw new Error('stopped');
        } });
      };
      for (let stopAfter = 0; ; stopAfter += 1) {
        const moved = await move(stopAfter).catch((error: unknown) => (String(error).includes('stopped') ? undefined : Promise.reject(error)));
        if (moved === undefined) {
          stops++;
          continue;
        }
        expect(moved.map((one) => one.channel).sort()).toEqual([...channelsOf([...identities.keys()])].sort());
        expect(moved.find((one) => one.channel === CON)?.keys).toBeGreaterThan(5);
        expect(organisationsIn(await target.config(CON, east.operator)).find((one) => one.mspId === EAST.org)?.revoked.size).toBe(1);
        break;
      }
      expect(stops).toBeGreaterThan(15);
      for (const channel of channelsOf([...identities.keys()])) {
        const skip = (key: string): boolean => key === '\u0000move\u0000';
        expect(toBase64url((await other.stateRoot(channel, skip)).root), channel).toBe(toBase64url((await ledger.stateRoot(channel, skip)).root));
        await other.replay(channel);
      }
    } finally {
      await both.close();
    }
  }, 120_000);

  it('leaves a source that takes nothing any more and an archive that ends where the target says', async () => {
    const both = await openBoth(folder, next);
    try {
      const { identities, source, target } = both;
      const operator = identities.get(EAST.org)?.operator as never;
      const channel = hdcOf(EAST.org);
      // The other way round the same folder is refused: it has moved once.
      await expect(moveLedger({ identities, source: target, target: source, archive: join(folder, 'again'), progress: () => undefined })).rejects.toMatchObject({ code: 'MOVE_AGAIN' });
      const begun = (await contractClient(target.clientOf(EAST.org), { channel, signer: operator }).evaluate('getMove', {})).move.import;
      expect(begun).toMatchObject({ sealed: true, sealedBy: [EAST.org] });
      const end = { height: begun?.source.height as number, blockHash: fromBase64url(begun?.source.blockHash as string) };
      expect(checkArchive(archive, channel, end).height).toBe(end.height);
      expect(begun?.source.checkpoint).toContain(`healthkeep/${channel}\n`);
      expect(begun?.source.checkpoint).toContain(`— ${EAST.org} `);
      const late = contractClient<'hdc'>(source.clientOf(EAST.org), { channel, signer: identities.get(EAST.org)?.system as never });
      await expect(late.submit('setTimeFloor', { at: new Date().toISOString() as never })).rejects.toMatchObject({ code: 'CHANNEL_FROZEN' });
      const file = archiveFile(archive, channel);
      const good = readFileSync(file);
      for (const at of [10, Math.floor(good.length / 3), Math.floor(good.length / 2)]) {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] as number) ^ 1;
        writeFileSync(file, bad);
        expect(() => checkArchive(archive, channel, end), String(at)).toThrow();
      }
      writeFileSync(file, good.subarray(0, good.length - 1));
      expect(() => checkArchive(archive, channel, end)).toThrow(expect.objectContaining({ code: 'ARCHIVE_BROKEN' }));
      writeFileSync(file, good);
    } finally {
      await both.close();
    }
  }, 120_000);
});
