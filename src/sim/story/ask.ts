/** Process B (flows.md section 4): templates are voted, people permit, data users invite; refusals are provoked on purpose. */
import { toBase64url } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { instant, SlotTag, type OrgId } from '#model/ids.ts';
import { orgClass } from '#model/orgs.ts';
import type { RequestTemplate, TemplateRef } from '#model/template.ts';
import { createBallot } from '#org/ballot.ts';
import { DATA_USERS, demoTemplates } from '../members.ts';
import { characterOf } from '../plan.ts';
import { inTurns, type Person, type Stage } from './stage.ts';

const DAY_MS = 86_400_000;
const PUBLISH_TRIES = 200;
const PUBLISH_PAUSE_MS = 50;
const LANES = 4;

export interface Templates {
  readonly byDataUser: ReadonlyMap<OrgId, { readonly template: RequestTemplate; readonly ref: TemplateRef }>;
}

/** B1: each data user proposes its template; the other organisations' operators vote; then it stands on DRC. */
export async function agreeTemplates(stage: Stage): Promise<Templates> {
  const approvalUntil = (await stage.memory.read<string>('approval-until')) ?? instant(stage.options.clock.now() + 400 * DAY_MS);
  await stage.memory.write('approval-until', approvalUntil);
  return agree(stage, demoTemplates(approvalUntil));
}

/** Proposes, votes and publishes templates, one per data user. */
export async function agree(stage: Stage, templates: readonly RequestTemplate[]): Promise<Templates> {
  const byDataUser = new Map<OrgId, { template: RequestTemplate; ref: TemplateRef }>();
  for (const template of templates) {
    const proposed = await stage.dataUser(template.requester).proposeTemplate({ body: { template } });
    if (proposed.state === 'proposed') await voteForAll(stage, { template, ref: proposed.ref });
    let state = proposed.state;
    for (let round = 0; state !== 'published' && round < PUBLISH_TRIES; round++) {
      state = (await stage.dataUser(template.requester).proposeTemplate({ body: { template } })).state;
      if (state !== 'published') await stage.options.scheduler.sleep(PUBLISH_PAUSE_MS);
    }
    byDataUser.set(template.requester, { template, ref: proposed.ref });
  }
  return { byDataUser };
}

/** Operators vote in turn until the proposal is decided; the proposer has voted already. */
async function voteForAll(stage: Stage, { template, ref }: { readonly template: RequestTemplate; readonly ref: TemplateRef }): Promise<void> {
  const { network, options } = stage;
  for (const [org, identity] of network.identities) {
    if (org === template.requester) continue;
    const ballot = createBallot({ deps: { org, signer: identity.system, ledger: network.clientOf(org), scheduler: options.scheduler, log: options.log } });
    await ballot.vote({ id: `template-${template.id}-${template.version}`, choice: 'yes' });
    if (await ballot.isAccepted({ kind: 'template', digest: ref.digest })) return;
  }
}

/** B2: permits by character; one person withdraws before anything was asked (B6). */
export async function permitAll(stage: Stage, people: readonly Person[], templates: Templates): Promise<void> {
  await inTurns(people, LANES, async (person) => {
    const character = characterOf(person.index);
    if (character === 'permits-nobody') return;
    for (const [duo, { ref }] of templates.byDataUser) {
      const key = `permitted/${person.name}/${duo}`;
      if ((await stage.memory.read(key)) !== undefined) continue;
      const held = (await person.open.device.requests()).some((card) => card.requester === duo);
      if (!held) await person.open.device.permit({ duo, templates: [ref], quota: 1, until: instant(stage.options.clock.now() + 30 * DAY_MS) });
      await stage.memory.write(key, true);
    }
    if (character === 'withdraws') await withdrawOne(stage, person);
    await person.open.device.sync();
  });
}

async function withdrawOne(stage: Stage, person: Person): Promise<void> {
  const last = [...DATA_USERS].reverse().find(({ org }) => orgClass(org) === 'duo');
  const card = (await person.open.device.requests()).find((one) => one.requester === last?.org && one.state === 'sent');
  if (card !== undefined) await person.open.device.withdraw(card.slot);
  await person.open.device.sync();
}

export interface Refusals {
  readonly attempts: number;
  /** Code → how often it was answered. */
  readonly codes: Readonly<Record<string, number>>;
}

/**
 * B3: every data user invites wherever it may. On purpose it also tries a slot that nobody opened, a slot already used,
 * a withdrawn slot and another data user's slot: each must be refused.
 */
export async function inviteAll(stage: Stage, templates: Templates): Promise<Refusals> {
  const codes: Record<string, number> = {};
  const refused = async (attempt: Promise<unknown>): Promise<void> => {
    const code = await attempt.then(() => 'NOT_REFUSED', (error: unknown) => (isCoded(error) ? error.code : 'INTERNAL'));
    codes[code] = (codes[code] ?? 0) + 1;
  };
  const answerBy = instant(stage.options.clock.now() + 7 * DAY_MS);
  for (const [duo, { ref }] of templates.byDataUser) {
    const body = { template: ref, message: 'Thank you for looking at our request.', answerBy };
    const invite = (slot: SlotTag) => stage.dataUser(duo).invite({ params: { slot }, body });
    await stage.network.dataUsers.get(duo)?.caughtUp((await stage.network.ledger.height('drc')) - 1);
    const { rows } = await stage.dataUser(duo).board({});
    await inTurns(rows.filter((row) => row.state === 'permitted'), LANES, (row) => invite(row.slot));
    const spent = (await stage.dataUser(duo).board({})).rows.find((row) => !['permitted', 'withdrawn'].includes(row.state));
    await refused(invite(SlotTag.parse(toBase64url(stage.options.random.bytes(32)))));
    if (spent !== undefined) await refused(stage.dataUser(duo).invite({ params: { slot: spent.slot }, body: { ...body, answerBy: instant(stage.options.clock.now() + 8 * DAY_MS), message: 'Once more.' } }));
    for (const row of rows.filter((one) => one.state === 'withdrawn')) await refused(invite(row.slot));
    const other = [...templates.byDataUser.keys()].find((org) => org !== duo);
    const theirs = other === undefined ? undefined : (await stage.dataUser(other).board({})).rows[0];
    if (theirs !== undefined) await refused(invite(theirs.slot));
  }
  return { attempts: Object.values(codes).reduce((sum, times) => sum + times, 0), codes };
}
