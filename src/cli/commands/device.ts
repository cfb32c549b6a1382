/** `healthkeep device …`: a person's side. Every command opens the device of a folder, acts, and closes it. */
import { createApiClient } from '#api/client.ts';
import { hospitalEndpoints, userOrgEndpoints } from '#api/endpoints.ts';
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { Choice } from '#device/preview.ts';
import { instant, RecordId } from '#model/ids.ts';
import { systemClock } from '#sim/seams.ts';
import type { Command, CommandResult } from '../command.ts';
import { pathOf, signerFor } from '../context.ts';
import { readInput, writeOutput } from '../files.ts';
import { table } from '../output.ts';
import { DEVICE_OPTIONS, userOrgOf, withDevice } from '../person.ts';
import { parseOrg } from '../world.ts';
import { parseSlot } from './request.ts';

const DAY_MS = 86_400_000;
const json = (value: unknown): Json => value as Json;

export const deviceEnrol: Command = {
  name: ['device', 'enrol'],
  summary: 'Makes a device in a folder and enrols it: its keys are born there, the doorman only signs.',
  options: { ...DEVICE_OPTIONS, code: { type: 'string', summary: 'the enrolment code; without it the operator of the network in this folder makes one' } },
  examples: ['healthkeep device enrol --folder demo/people/zoe', 'healthkeep device enrol --folder me --network demo --code CODE'],
  run: (context) =>
    withDevice(context, true, async ({ device, world }) => {
      if (!(await device.enrolled())) {
        const uo = userOrgOf(world);
        const operator = async (): Promise<string> => (await createApiClient({ table: userOrgEndpoints, baseUrl: world.urlOf(uo), fetch: world.fetch, sign: signerFor((await world.identity(uo)).operator) }).inviteCode({ body: {} })).code;
        await device.enrol({ code: context.options['code'] === undefined ? await operator() : String(context.options['code']) });
      }
      return { json: { enrolled: true }, text: ['Enrolled. Next: healthkeep device link --org HO-east --patient ID'] };
    }),
};

export const deviceLink: Command = {
  name: ['device', 'link'],
  summary: 'Shows this device\'s code at a hospital\'s desk; with --patient the desk of this folder\'s network scans it.',
  options: { ...DEVICE_OPTIONS, org: { type: 'string', value: 'ORG', summary: 'the hospital, such as HO-east', required: true }, patient: { type: 'string', value: 'ID', summary: 'the hospital\'s own id of the patient' } },
  examples: ['healthkeep device link --folder demo/people/zoe --org HO-east --patient 12345', 'healthkeep device link --folder me --network demo --org HO-west --json'],
  run: (context) =>
    withDevice(context, false, async ({ device, world }) => {
      const org = parseOrg(context.options['org'], 'HO-east');
      const link = await device.linkCode(org);
      if (context.options['patient'] === undefined) return { json: { link }, text: [JSON.stringify(link)] };
      const hospital = createApiClient({ table: hospitalEndpoints, baseUrl: world.urlOf(org), fetch: world.fetch, sign: signerFor((await world.identity(org)).staff) });
      const { subject } = await hospital.link({ params: { patient: String(context.options['patient']) }, body: { link } });
      return { json: { subject }, text: ['Linked. Next: healthkeep device sync'] };
    }),
};

export const deviceSync: Command = {
  name: ['device', 'sync'],
  summary: 'Reads the mailbox, verifies new records, writes the index and finishes what was interrupted.',
  options: DEVICE_OPTIONS,
  examples: ['healthkeep device sync --folder demo/people/1'],
  run: (context) =>
    withDevice(context, false, async ({ device }) => {
      const left = await device.settle(context.signal);
      return { json: json({ pending: left }), text: [left.length === 0 ? 'Everything is up to date.' : `${left.length} things still wait: ${left.map((act) => act.kind).join(', ')}`] };
    }),
};

export const deviceRecords: Command = {
  name: ['device', 'records'],
  summary: 'Lists the person\'s records with their seals, or prints one as it was received.',
  arguments: [{ name: 'RECORD', summary: 'print this record\'s bytes', optional: true }],
  options: DEVICE_OPTIONS,
  examples: ['healthkeep device records --folder demo/people/1', 'healthkeep device records RECORD --folder demo/people/1'],
  run: (context) =>
    withDevice(context, false, async ({ device }): Promise<CommandResult> => {
      if (context.words[0] !== undefined) {
        const bytes = await device.openRecord(parseRecord(context.words[0]));
        const text = new TextDecoder().decode(bytes);
        return { json: { record: context.words[0], text }, text: text.split('\n') };
      }
      const records = await device.records();
      return { json: json({ records }), text: records.length === 0 ? ['No records yet. Next: healthkeep device sync'] : table([['record', 'date', 'type', 'keeper', 'seal'], ...records.map((one) => [one.id, one.date ?? '', one.resourceType, one.keeper, one.seal])]) };
    }),
};

export const devicePermit: Command = {
  name: ['device', 'permit'],
  summary: 'Lets a data user ask: so many times, by these templates, until a day.',
  options: { ...DEVICE_OPTIONS, org: { type: 'string', value: 'ORG', summary: 'the data user, such as DUO-sunrise', required: true }, times: { type: 'string', value: 'N', summary: 'how often it may ask (default 1)' }, days: { type: 'string', value: 'N', summary: 'for how many days (default 30)' } },
  examples: ['healthkeep device permit --folder demo/people/1 --org DUO-sunrise --times 2'],
  run: (context) =>
    withDevice(context, false, async ({ device }) => {
      const duo = parseOrg(context.options['org'], 'DUO-sunrise');
      const templates = (await device.templates()).filter((one) => one.requester === duo).map((one) => one.ref);
      const permit = await device.permit({ duo, templates, quota: numberOf(context.options['times'], '--times', 1), until: instant(systemClock.now() + numberOf(context.options['days'], '--days', 30) * DAY_MS) });
      return { json: json({ contact: permit.contact, slots: permit.slots }), text: [`${duo} may ask ${permit.quota} time(s) until ${permit.until}.`] };
    }),
};

export const deviceRequests: Command = {
  name: ['device', 'requests'],
  summary: 'Shows who may ask, who asked, and what became of it, in plain words.',
  options: DEVICE_OPTIONS,
  examples: ['healthkeep device requests --folder demo/people/1'],
  run: (context) =>
    withDevice(context, false, async ({ device }) => {
      await device.sync();
      const cards = await device.requests();
      const text = cards.flatMap((card) => [
        `${card.slot}  ${card.state}`,
        `  Who   ${card.requesterName} (${card.requester})`,
        ...(card.asks === undefined ? [] : [`  What  ${card.asks.title}: ${(card.matching ?? []).reduce((sum, one) => sum + one.items, 0)} of your records`, `  Why   ${card.asks.why}`, `  If no ${card.asks.ifRefused}`, `  Kept  ${card.asks.retentionDays} days, then it must be deleted`]),
        ...(card.answerBy === undefined ? [] : [`  Until ${card.answerBy}`]),
        '',
      ]);
      return { json: json({ requests: cards }), text: cards.length === 0 ? ['Nobody may ask you anything. Next: healthkeep device permit'] : text };
    }),
};

export const deviceAnswer: Command = {
  name: ['device', 'answer'],
  summary: 'Answers a request: all, narrower (with --items) or no. --preview shows exactly what would leave and sends nothing.',
  arguments: [{ name: 'SLOT', summary: 'a request in state waiting' }, { name: 'DECISION', summary: 'all, narrower or no' }],
  options: { ...DEVICE_OPTIONS, items: { type: 'string', value: 'IDS', summary: 'for narrower: record ids, separated by commas' }, preview: { type: 'boolean', summary: 'show what would leave, send nothing' } },
  examples: ['healthkeep device answer SLOT all --preview --folder demo/people/1', 'healthkeep device answer SLOT narrower --items ID,ID --folder demo/people/1', 'healthkeep device answer SLOT no --folder demo/people/1'],
  run: (context) =>
    withDevice(context, false, async ({ device }) => {
      const slot = parseSlot(context.words[0]);
      const decision = context.words[1];
      if (decision !== 'all' && decision !== 'narrower' && decision !== 'no') throw new CodedError('USAGE_ARGUMENT', `"${decision}" is not a decision.`, { why: 'There are three: all, narrower, no.', next: 'Say one of them.' });
      const items = context.options['items'] === undefined ? undefined : String(context.options['items']).split(',').map(parseRecord);
      const choice: Choice = { decision, ...(items === undefined ? {} : { items }) };
      if (context.options['preview'] === true) {
        const seen = await device.preview(slot, choice);
        return { json: json({ ...seen, items: seen.items.map((item) => ({ ...item, bytes: new TextDecoder().decode(item.bytes) })) }), text: [`${seen.items.length} records, ${seen.totalBytes} bytes would leave. Contents ${seen.digest}`, ...seen.items.flatMap((item) => [`${item.id} ${item.keeper}`, new TextDecoder().decode(item.bytes)])] };
      }
      await device.answer(slot, choice);
      const card = (await device.requests()).find((one) => one.slot === slot);
      return { json: json({ slot, state: card?.state, parts: card?.parts ?? [] }), text: [`Answered: ${decision}.`, ...(card?.parts ?? []).map((part) => `  ${part.keeper}: ${part.items} records, ${part.state}`)] };
    }),
};

export const deviceRevoke: Command = {
  name: ['device', 'revoke'],
  summary: 'Stops a grant: at the hospitals at once, and on the request channel.',
  arguments: [{ name: 'SLOT', summary: 'a request in state answered' }],
  options: DEVICE_OPTIONS,
  examples: ['healthkeep device revoke SLOT --folder demo/people/1'],
  run: (context) =>
    withDevice(context, false, async ({ device }) => {
      await device.revoke(parseSlot(context.words[0]));
      return { json: { revoked: true }, text: ['Stopped. They get nothing new; what they already have they have signed to delete.'] };
    }),
};

export const deviceErase: Command = {
  name: ['device', 'erase'],
  summary: 'Has a hospital destroy records: bodies, keys and salts. A signed receipt remains.',
  arguments: [{ name: 'RECORD…', summary: 'record ids', many: true }],
  options: { ...DEVICE_OPTIONS, confirm: { type: 'string', value: 'WORD', summary: 'must be "erase": this cannot be undone' } },
  examples: ['healthkeep device erase RECORD --confirm erase --folder demo/people/1'],
  run: (context) =>
    withDevice(context, false, async ({ device }) => {
      if (context.options['confirm'] !== 'erase') throw new CodedError('USAGE_OPTION', 'Erasing needs --confirm erase.', { why: 'Nobody can bring an erased record back.', next: 'Add --confirm erase if you mean it.' });
      await device.erase(context.words.map(parseRecord));
      return { json: { erased: context.words.length }, text: [`Erased ${context.words.length} record(s). The receipts are in healthkeep device export.`] };
    }),
};

export const deviceLog: Command = {
  name: ['device', 'log'],
  summary: 'Shows every access to the person\'s records, and whether any line is missing.',
  options: DEVICE_OPTIONS,
  examples: ['healthkeep device log --folder demo/people/1'],
  run: (context) =>
    withDevice(context, false, async ({ device }) => {
      const logs = await device.accessLog();
      return { json: json({ logs }), text: logs.flatMap((log) => [`${log.keeper}: ${log.lines.length} lines`, ...table(log.lines.map((line) => [`  ${line.at}`, line.org, line.role, line.action, `${line.records} record(s)`, line.purpose, line.outcome]))]) };
    }),
};

export const deviceExport: Command = {
  name: ['device', 'export'],
  summary: 'Writes everything this device keeps into one file, sealed by a passphrase from HEALTHKEEP_PASSPHRASE.',
  arguments: [{ name: 'FILE', summary: 'the file to write' }],
  options: DEVICE_OPTIONS,
  examples: ['HEALTHKEEP_PASSPHRASE=… healthkeep device export me.json --folder demo/people/1'],
  run: (context) =>
    withDevice(context, false, async ({ device }) => {
      const bytes = await device.exportAll(context.env['HEALTHKEEP_PASSPHRASE']);
      writeOutput(pathOf(context, context.words[0]), bytes, { fresh: true });
      return { json: { bytes: bytes.length, digest: await device.stateDigest() }, text: [`Wrote ${bytes.length} bytes.`] };
    }),
};

export const deviceImport: Command = {
  name: ['device', 'import'],
  summary: 'Restores an export into an empty folder.',
  arguments: [{ name: 'FILE', summary: 'the file to read' }],
  options: DEVICE_OPTIONS,
  examples: ['HEALTHKEEP_PASSPHRASE=… healthkeep device import me.json --folder demo/people/new'],
  async run(context) {
    // Read first: a file that is not there leaves no empty device behind.
    const bytes = readInput(pathOf(context, context.words[0]));
    return withDevice(context, true, async ({ device }) => {
      await device.importAll(bytes, context.env['HEALTHKEEP_PASSPHRASE'] ?? '');
      return { json: { digest: await device.stateDigest() }, text: ['Restored.'] };
    });
  },
};

function parseRecord(text: string): RecordId {
  const parsed = RecordId.safeParse(text);
  if (!parsed.success) throw new CodedError('USAGE_ARGUMENT', 'That is not a record\'s id.', { why: 'An id is 22 characters of base64url.', next: 'Copy one from healthkeep device records.' });
  return parsed.data;
}

function numberOf(text: string | boolean | undefined, option: string, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isInteger(value) || value < 1) throw new CodedError('USAGE_OPTION', `${option} needs a whole number from 1.`, { why: `"${String(text)}" is not one.`, next: `Run it with ${option} ${otherwise}.` });
  return value;
}
