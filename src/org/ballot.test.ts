import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toBase64url } from '#base/bytes.ts';
import { createApiClient } from '#api/client.ts';
import { dataUserEndpoints } from '#api/endpoints.ts';
import { openWorld, type World } from '#device/network.test-kit.ts';
import { drcClient } from '#contracts/client.ts';
import { instant, type Digest, type OrgId } from '#model/ids.ts';
import { RequestTemplate } from '#model/template.ts';
import { EAST, INSTITUTE, INSURER, USER_ORG, WEST } from '#sim/members.ts';
import { realScheduler, systemRandom } from '#sim/seams.ts';
import { createBallot, type Ballot } from './ballot.ts';
import type { KeptOrgIdentity } from './identity.ts';
import { signerOf } from './signing.ts';

let world: World;
const opened: Ballot[] = [];

beforeAll(async () => {
  world = await openWorld('ballot');
}, 60_000);
afterAll(async () => {
  for (const ballot of opened) await ballot.close();
  await world?.close();
});

const identityOf = (org: OrgId): KeptOrgIdentity => world.network.identities.get(org) as KeptOrgIdentity;

async function ballotOf(org: OrgId, start = true): Promise<Ballot> {
  const ballot = createBallot({ deps: { org, signer: identityOf(org).system, ledger: world.network.client, scheduler: realScheduler, log: () => undefined } });
  opened.push(ballot);
  if (start) await ballot.start();
  return ballot;
}

const fresh = (): Digest => toBase64url(systemRandom.bytes(32)) as Digest;
const proposal = (id: string, digest: Digest) => ({ id, kind: 'algorithm' as const, digest, title: 'A new algorithm', deadline: instant(world.clock.now() + 86_400_000) });

describe('a ballot on CON', () => {
  it('shows each member what waits for its vote, until it has voted or all is decided', async () => {
    const digest = fresh();
    const [east, west, people] = await Promise.all([EAST, WEST, USER_ORG].map(({ org }) => ballotOf(org)));
    await east?.propose(proposal('first-algorithm', digest));
    const waiting = async (ballot: Ballot | undefined): Promise<boolean> => (await ballot?.pending())?.some(({ id }) => id === 'first-algorithm') ?? false;
    await seen(() => waiting(west));
    await seen(() => waiting(east));
    await east?.vote({ id: 'first-algorithm', choice: 'yes' });
    expect(await waiting(east)).toBe(false);
    await west?.vote({ id: 'first-algorithm', choice: 'yes' });
    expect(await people?.isAccepted({ kind: 'algorithm', digest })).toBe(false);
    const accepted = people?.acceptedWhen({ kind: 'algorithm', digest });
    expect((await people?.vote({ id: 'first-algorithm', choice: 'yes' }))?.state).toBe('accepted');
    await accepted;
    expect(await waiting(await ballotOf(INSURER.org))).toBe(false);
  });

  it('proposes and votes again without a second effect', async () => {
    const digest = fresh();
    const east = await ballotOf(EAST.org, false);
    const first = await east.propose(proposal('twice-proposed', digest));
    expect(await east.propose(proposal('twice-proposed', digest))).toEqual(first);
    await east.vote({ id: 'twice-proposed', choice: 'yes' });
    expect((await east.vote({ id: 'twice-proposed', choice: 'yes' })).votes).toHaveLength(1);
    await expect(east.vote({ id: 'twice-proposed', choice: 'no' })).rejects.toMatchObject({ code: 'VOTE_EXISTS' });
    await expect(east.propose(proposal('twice-proposed', fresh()))).rejects.toMatchObject({ code: 'PROPOSAL_EXISTS' });
    await expect((await ballotOf(WEST.org, false)).propose(proposal('twice-proposed', digest))).rejects.toMatchObject({ code: 'PROPOSAL_EXISTS' });
  });

  it('votes yes by itself on what the operator approved, and on nothing else', async () => {
    const [approved, other] = [fresh(), fresh()];
    const [west, people, institute] = await Promise.all([WEST, USER_ORG, INSTITUTE].map(({ org }) => ballotOf(org)));
    for (const ballot of [west, people]) ballot?.approve({ kind: 'algorithm', digest: approved });
    await institute?.propose(proposal('approved-before', approved));
    await institute?.propose(proposal('never-read', other));
    await institute?.vote({ id: 'approved-before', choice: 'yes' });
    await institute?.acceptedWhen({ kind: 'algorithm', digest: approved });
    expect((await west?.pending())?.map(({ id }) => id)).toContain('never-read');
    // Approving afterwards counts too.
    for (const ballot of [west, people]) ballot?.approve({ kind: 'algorithm', digest: other });
    await institute?.vote({ id: 'never-read', choice: 'yes' });
    await institute?.acceptedWhen({ kind: 'algorithm', digest: other });
  });

  it('ends a wait when it is told to', async () => {
    const control = new AbortController();
    const waiting = (await ballotOf(EAST.org, false)).acceptedWhen({ kind: 'algorithm', digest: fresh() }, control.signal);
    control.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'CALL_ABORTED' });
  });
});

describe('a template', () => {
  const insurer = () => createApiClient({ table: dataUserEndpoints, baseUrl: world.network.urls.get(INSURER.org) as string, fetch: world.wire.fetch, sign: signerOf({ clock: world.clock, random: systemRandom }, identityOf(INSURER.org).staff) });
  const next = (change: Partial<RequestTemplate> = {}): RequestTemplate => RequestTemplate.parse({ ...world.templates.get(INSURER.org)?.template, id: 'second-look', ...change });

  it('is proposed once, voted, and published as soon as it is accepted', async () => {
    const template = next();
    const { ref, state } = await insurer().proposeTemplate({ body: { template } });
    expect(state).toBe('proposed');
    expect(await insurer().proposeTemplate({ body: { template } })).toEqual({ ref, state: 'proposed' });
    await expect(insurer().proposeTemplate({ body: { template: next({ title: 'Another title' }) } })).rejects.toMatchObject({ code: 'TEMPLATE_EXISTS' });
    await expect(insurer().proposeTemplate({ body: { template: next({ id: 'not-ours' as never, requester: INSTITUTE.org }) } })).rejects.toMatchObject({ code: 'TEMPLATE_NOT_OWN' });
    for (const { org } of [EAST, WEST]) {
      const ballot = await ballotOf(org);
      await seen(async () => (await ballot.pending()).some(({ id }) => id === 'template-second-look-1'));
      await ballot.vote({ id: 'template-second-look-1', choice: 'yes' });
    }
    // The data user's own vote and two more are three of five. Nobody asks again: it publishes by itself.
    const onDrc = drcClient(world.network.client, identityOf(INSURER.org).system);
    await seen(async () => (await onDrc.evaluate('listTemplates', {})).templates.some(({ digest }) => digest === ref.digest));
    expect(await insurer().proposeTemplate({ body: { template } })).toEqual({ ref, state: 'published' });
  });
});

async function seen(done: () => Promise<boolean>): Promise<void> {
  for (let round = 0; round < 200; round++) {
    if (await done()) return;
    await realScheduler.sleep(20);
  }
  throw new Error('it did not come about');
}
