/** A keeper that shows one owner another access log than it shows the members (feature 8.7). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromBase64url, toBase64url, utf8 } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import type { Fetch } from '#base/ports.ts';
import { parseCheckpoint, signNote, writeCheckpoint } from '#crypto/checkpoint.ts';
import { appendLeaf, encodeLeaf, inclusionPath, leafHash, memoryNodes, rootAt } from '#crypto/merkle.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { hdcOf } from '#model/orgs.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';
import { EAST } from '#sim/members.ts';
import { nextHead } from './log.ts';
import { openWorld, settled, syncUntil, type World } from './network.test-kit.ts';
import { person } from './person.test-kit.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld('split log');
}, 60_000);
afterAll(async () => {
  await world?.close();
});

describe('an access log that is shown to one owner only', () => {
  it('is found out: its head is not in the tree that the members watched grow', async () => {
    let lie = false;
    /** The keeper's log has a line to leave out, and its head stands in the tree. */
    let provable = false;
    let pinned = '';
    let shown: { to: number; head: string } | undefined;
    const keeper = world.network.identities.get(EAST.org) as KeptOrgIdentity;
    /** The log without the last line, with a tree to match, in which the keeper's own key signed the false head. */
    const forged = async (response: Response): Promise<Response> => {
      const body = (await response.json()) as { lines: Json[]; chain: { start: string; digests: string[] }; proof: Record<string, unknown> };
      const digests = body.chain.digests.slice(0, -1);
      const head = digests.reduce((last, digest) => nextHead(last, fromBase64url(digest)), fromBase64url(body.chain.start));
      shown = { to: (body.chain as unknown as { from: number }).from + digests.length - 1, head: toBase64url(head) };
      const { size, height } = parseCheckpoint(pinned);
      const leaf = { block: 3, tx: 0, namespace: 'hdc', key: body.proof['key'] as string, value: canonicalBytes({ ...shown } as unknown as Json) };
      const nodes = memoryNodes();
      for (let at = 0; at < size; at++) appendLeaf(nodes, at, leafHash(at === 0 ? encodeLeaf(leaf) : utf8(`filler ${at}`)));
      const note = await signNote(writeCheckpoint({ ...parseCheckpoint(pinned), height, root: rootAt(nodes, size) }), { name: EAST.org, certificate: keeper.peer.certificate, sign: (message) => keeper.peer.sign(message) });
      const proof = { ...leaf, channel: hdcOf(EAST.org), value: toBase64url(leaf.value), leafIndex: 0, size, path: inclusionPath(nodes, 0, size).map(toBase64url), checkpoint: note };
      const lines = body.lines.filter((line) => (line as { sequence: number }).sequence <= (shown as { to: number }).to);
      return Response.json({ ...body, lines, chain: { ...body.chain, digests }, head: shown, proof });
    };
    // The keeper runs the only peer of its channel: it answers what it likes.
    const other = await person(world, ({ fetch, ledger }) => ({
      fetch: (async (request) => {
        const response = await fetch(request);
        if (new URL(request.url).pathname !== '/v1/access-log' || !request.url.includes('ho-east')) return response;
        if (lie) return forged(response);
        const body = (await response.json()) as { chain: { digests: string[] }; proof?: unknown };
        provable = body.proof !== undefined && body.chain.digests.length > 0;
        // The device shall not keep anything of the honest log.
        return new Response(null, { status: 503 });
      }) satisfies Fetch,
      ledger: { ...ledger, evaluate: async (call) => (lie && call.name === 'getAccessHead' && call.channel === hdcOf(EAST.org) ? ((shown ?? null) as unknown as Json) : ledger.evaluate(call)) } satisfies LedgerClient,
    }));
    const { device } = other;
    await syncUntil(device, async () => {
      await world.network.hospitals.get(EAST.org)!.exchange.publish();
      await device.watch();
      pinned = (await device.checkpoints()).find(({ channel }) => channel === hdcOf(EAST.org))?.note ?? '';
      await device.accessLog();
      return pinned !== '' && provable && (await settled(device)());
    });
    lie = true;
    // The first reading fixes what the lie is; the second is told it as a whole.
    await device.accessLog();
    const told = (await device.accessLog()).find(({ keeper: of }) => of === EAST.org);
    expect(told).toMatchObject({ problem: 'ACCESS_LOG_SPLIT' });
    const view = (await device.checkpoints()).find(({ channel }) => channel === hdcOf(EAST.org));
    expect(view).toMatchObject({ problem: 'LEDGER_FORKED', fork: { convicted: [EAST.org] } });
  }, 60_000);
});
