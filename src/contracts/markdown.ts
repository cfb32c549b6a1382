/** docs/transactions.md, written from the tables: what can be called, by whom, and what it says when it is done. */
import { protocolSteps, type Step } from '#model/steps.ts';
import { accessTable, type AccessRow } from '#model/access.ts';
import { ledgerEvents } from '#model/events.ts';
import type { ChannelKind } from '#model/orgs.ts';
import type { z } from 'zod';
import { catalogue } from './catalogue.ts';

const titles: Record<ChannelKind, string> = {
  uic: 'UIC, the user index channel',
  hdc: 'HDC, the health data channel of one keeper',
  drc: 'DRC, the data request channel',
  con: 'CON, the consortium channel',
};

const stories: Record<keyof typeof protocolSteps, string> = {
  slot: 'A slot on DRC',
  order: 'A release order on HDC',
  record: 'An anchored record on HDC',
  proposal: 'A proposal on CON',
};

/** The whole page as Markdown, ending in one newline. */
export function transactionsMarkdown(): string {
  const head = [
    '# Transactions',
    '',
    'Written from `src/model/access.ts`, `src/model/events.ts`, `src/model/steps.ts` and the input schemas; do not edit by hand. A test compares.',
    '',
    'A caller is `organisation class/role`. Input and output are canonical JSON. A transaction with an event writes and is ordered; one without only reads.',
    'What is not listed is refused: `TRANSACTION_UNKNOWN` for another name, `ROLE_NOT_ALLOWED` for another role, `INPUT_INVALID` for another form.',
  ];
  const channels = (Object.keys(titles) as ChannelKind[]).flatMap(channelSection);
  const steps = (Object.keys(stories) as (keyof typeof protocolSteps)[]).flatMap((name) => stepSection(stories[name], protocolSteps[name]));
  return `${[...head, ...channels, '', '## Steps', ...steps].join('\n')}\n`;
}

function channelSection(kind: ChannelKind): readonly string[] {
  const inputs = catalogue[kind].inputs as Readonly<Record<string, z.ZodType>>;
  const events: Readonly<Record<string, string>> = ledgerEvents[kind];
  const rows = Object.entries(accessTable[kind] as Readonly<Record<string, AccessRow>>);
  return [
    '', `## ${titles[kind]}`, '', '| transaction | by | only | input | event |', '|---|---|---|---|---|',
    ...rows.map(([name, row]) => `| \`${name}\` | ${callers(row)} | ${row.only ?? ''} | ${fields(inputs[name] as z.ZodType)} | ${events[name] ?? ''} |`),
  ];
}

/** `uo/system`, `uo/person` as `uo/system person`. */
function callers({ by }: AccessRow): string {
  const roles = new Map<string, string[]>();
  for (const who of by) {
    const [orgClass, role] = who.split('/') as [string, string];
    roles.set(orgClass, [...(roles.get(orgClass) ?? []), role]);
  }
  return [...roles].map(([orgClass, names]) => `${orgClass}/${names.join(' ')}`).join(', ');
}

function fields(input: z.ZodType): string {
  const object = (input as z.ZodReadonly<z.ZodObject>).unwrap();
  return Object.entries(object.shape).map(([name, field]) => `\`${name}${(field as z.ZodType).safeParse(undefined).success ? '?' : ''}\``).join(' ');
}

/** Steps that differ in the caller only share a row. */
function stepSection(title: string, steps: readonly Step[]): readonly string[] {
  const rows = new Map<string, string[]>();
  for (const { from, step, to, event, by } of steps) {
    const key = `| ${from} | \`${step}\` | ${to} | ${event} |`;
    rows.set(key, [...(rows.get(key) ?? []), by]);
  }
  return ['', `### ${title}`, '', '| from | step | to | event | by |', '|---|---|---|---|---|', ...[...rows].map(([row, by]) => `${row} ${by.join(', ')} |`)];
}
