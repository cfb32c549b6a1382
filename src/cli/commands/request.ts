/** `healthkeep request …`: a data user's side, over its own HTTP interface. */
import { createApiClient, type ApiClient } from '#api/client.ts';
import { dataUserEndpoints } from '#api/endpoints.ts';
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { instant, SlotTag, type OrgId } from '#model/ids.ts';
import { contractClient } from '#contracts/client.ts';
import { DRC } from '#model/orgs.ts';
import { systemClock } from '#sim/seams.ts';
import type { Command, CommandContext, CommandResult, Option } from '../command.ts';
import { pathOf, signerFor } from '../context.ts';
import { table } from '../output.ts';
import { openWorld, parseOrg, type World } from '../world.ts';

const OPTIONS: Readonly<Record<string, Option>> = {
  folder: { type: 'string', value: 'DIR', summary: 'the network\'s folder', required: true },
  org: { type: 'string', value: 'ORG', summary: 'the data user, such as DUO-sunrise', required: true },
};
const DAY_MS = 86_400_000;

interface Desk {
  readonly org: OrgId;
  readonly world: World;
  readonly api: ApiClient<typeof dataUserEndpoints>;
}

async function atDesk(context: CommandContext, work: (desk: Desk) => Promise<CommandResult>): Promise<CommandResult> {
  const org = parseOrg(context.options['org'], 'DUO-sunrise');
  const world = await openWorld(pathOf(context, context.options['folder']));
  try {
    return await work({ org, world, api: createApiClient({ table: dataUserEndpoints, baseUrl: world.urlOf(org), fetch: world.fetch, sign: signerFor((await world.identity(org)).staff) }) });
  } finally {
    await world.close();
  }
}

/** @throws CodedError USAGE_ARGUMENT */
export function parseSlot(text: string | undefined): SlotTag {
  const parsed = SlotTag.safeParse(text);
  if (!parsed.success) throw new CodedError('USAGE_ARGUMENT', 'That is not a slot.', { why: 'A slot is 43 characters of base64url.', next: 'Copy one from healthkeep request permits or healthkeep device requests.' });
  return parsed.data;
}

export const requestPermits: Command = {
  name: ['request', 'permits'],
  summary: 'Shows permits, invitations and answers of a data user, one line per slot.',
  options: OPTIONS,
  examples: ['healthkeep request permits --folder demo --org DUO-sunrise', 'healthkeep request permits --folder demo --org DUO-helix --json'],
  run: (context) =>
    atDesk(context, async ({ api }) => {
      const { rows } = await api.board({});
      return { json: { rows } as unknown as Json, text: rows.length === 0 ? ['Nobody has given permission to ask yet.'] : table([['slot', 'state', 'template', 'items', 'until'], ...rows.map((row) => [row.slot, row.state, row.template === undefined ? '' : `${row.template.id} v${row.template.version}`, row.items === undefined ? '' : String(row.items), row.until])]) };
    }),
};

export const requestInvite: Command = {
  name: ['request', 'invite'],
  summary: 'Writes one invitation into a slot that its owner opened.',
  arguments: [{ name: 'SLOT', summary: 'a slot in state permitted' }],
  options: { ...OPTIONS, template: { type: 'string', value: 'ID', summary: 'the template\'s id (default: the only one this data user has)' }, message: { type: 'string', summary: 'a sentence for the owner' }, days: { type: 'string', value: 'N', summary: 'days to answer (default 7)' } },
  examples: ['healthkeep request invite SLOT --folder demo --org DUO-sunrise --template applicant-fitness'],
  run: (context) =>
    atDesk(context, async ({ api, world, org }) => {
      const slot = parseSlot(context.words[0]);
      const days = Number(context.options['days'] ?? 7);
      if (!Number.isFinite(days) || days <= 0) throw new CodedError('USAGE_OPTION', '--days needs a number above 0.', { why: `"${String(context.options['days'])}" is not one.`, next: 'Run it with --days 7.' });
      const { templates } = await contractClient<'drc'>(world.ledger, { channel: DRC, signer: (await world.identity(org)).system }).evaluate('listTemplates', {});
      const own = templates.filter((one) => one.template.requester === org && (context.options['template'] === undefined || one.template.id === context.options['template']));
      const newest = own.sort((left, right) => right.template.version - left.template.version)[0];
      if (newest === undefined) throw new CodedError('USAGE_OPTION', 'There is no such template of this data user on DRC.', { why: 'Only published templates can be asked with.', next: 'Name one with --template.' });
      await api.invite({ params: { slot }, body: { template: { id: newest.template.id, version: newest.template.version, digest: newest.digest }, message: String(context.options['message'] ?? ''), answerBy: instant(systemClock.now() + days * DAY_MS) } });
      return { json: { slot, invited: true }, text: [`Invited. Next: healthkeep request permits shows the answer.`] };
    }),
};

export const requestReceive: Command = {
  name: ['request', 'receive'],
  summary: 'Fetches, opens and verifies a granted package and writes the receipt.',
  arguments: [{ name: 'SLOT', summary: 'a slot in state answered' }],
  options: OPTIONS,
  examples: ['healthkeep request receive SLOT --folder demo --org DUO-helix'],
  run: (context) =>
    atDesk(context, async ({ api }) => {
      const received = await api.receive({ params: { slot: parseSlot(context.words[0]) }, body: {} });
      const bad = received.items.filter((item) => !item.good);
      return {
        json: received as unknown as Json,
        text: [`${received.items.length - bad.length} of ${received.items.length} items verified. Package ${received.packageDigest}`, ...table(received.items.map((item) => [item.good ? 'good' : 'BAD ', item.record, item.keeper, item.resourceType, item.code ?? '']))],
        errors: bad.length === 0 ? [] : [new CodedError('ITEMS_BAD', `${bad.length} items are not what their hospital signed.`, { why: `The first says ${bad[0]?.code ?? 'BAD'}.`, next: 'Do not use them; ask their hospitals.' })],
      };
    }),
};

export const requestReceipts: Command = {
  name: ['request', 'receipts'],
  summary: 'Shows what was received and when it must be erased.',
  options: OPTIONS,
  examples: ['healthkeep request receipts --folder demo --org DUO-helix'],
  run: (context) =>
    atDesk(context, async ({ api }) => {
      const rows = (await api.board({})).rows.filter((row) => row.state === 'received' || row.state === 'erased' || row.verified !== undefined);
      return { json: { rows } as unknown as Json, text: rows.length === 0 ? ['Nothing was received yet.'] : table([['slot', 'state', 'items', 'verified', 'erase by'], ...rows.map((row) => [row.slot, row.state, String(row.items ?? ''), String(row.verified ?? ''), row.eraseAt ?? ''])]) };
    }),
};
