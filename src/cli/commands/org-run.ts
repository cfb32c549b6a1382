/** `healthkeep org run`: one organisation as a process of its own, against a ledger that another process serves. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CodedError } from '#base/errors.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { createHttpTransport } from '#ledger/http-transport.ts';
import { OrgId } from '#model/ids.ts';
import { orgClass } from '#model/orgs.ts';
import { openDataUser } from '#org/data-user/open.ts';
import { openHospital } from '#org/hospital/open.ts';
import { openOrgIdentity } from '#org/identity.ts';
import type { Org } from '#org/types.ts';
import { openUserOrg } from '#org/user-org/open.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import type { Command, CommandContext } from '../command.ts';
import { nearest } from '../command.ts';
import { pathOf } from '../context.ts';
import { makeFolder, readNetworkFile } from '../folder.ts';
import { fileLog } from '../log.ts';
import { networkFetch } from '../network-fetch.ts';
import { listen } from '../serve.ts';

const OrgConfig = z
  .strictObject({
    org: OrgId,
    /** The organisation's own folder: keys and stores. */
    folder: z.string().min(1),
    /** Base URL of the ledger. */
    ledger: z.url(),
    host: z.string().default('127.0.0.1'),
    port: z.int().min(0).max(65_535),
    /** The URL under which others reach it; default http://host:port. */
    url: z.url().optional(),
  })
  .readonly();
type OrgConfig = z.infer<typeof OrgConfig>;

export const orgRun: Command = {
  name: ['org', 'run'],
  summary: 'Runs one organisation of a network as its own process.',
  options: {
    config: { type: 'string', value: 'FILE', summary: 'JSON: {"org","folder","ledger","host","port","url"}' },
    folder: { type: 'string', value: 'DIR', summary: 'instead of a file: the network\'s folder, and --org' },
    org: { type: 'string', value: 'ORG', summary: 'with --folder: which organisation' },
  },
  examples: ['healthkeep ledger serve --folder demo', 'healthkeep org run --folder demo --org HO-east', 'healthkeep org run --config hospital.json'],
  async run(context) {
    const config = configOf(context);
    if (/^(?!127\.|localhost$|::1$)/.test(config.host) && (config.url ?? '').startsWith('http:')) throw new CodedError('CONFIG_INVALID', 'The organisation would be reached without TLS from outside.', { why: 'host is not loopback and url is http.', next: 'Put a TLS proxy in front and give its https address as url.' });
    const org = await open(config);
    const server = await listen({ fetch: org.fetch, port: config.port, host: config.host });
    try {
      await org.start();
      context.streams.out(context.json ? `${JSON.stringify({ org: config.org, url: server.url })}\n` : `${config.org} at ${server.url} (${server.url}/openapi.json)\nCtrl-C ends it.\n`);
      await new Promise<void>((done) => (context.signal.aborted ? done() : context.signal.addEventListener('abort', () => done(), { once: true })));
    } finally {
      await server.close();
      await org.close();
    }
    return undefined;
  },
};

function configOf(context: CommandContext): OrgConfig {
  if (context.options['config'] !== undefined) return readConfig(pathOf(context, context.options['config']));
  if (context.options['folder'] === undefined || context.options['org'] === undefined) throw new CodedError('USAGE_OPTION', 'Give --config, or --folder and --org.', { why: 'It must be known which organisation to run.', next: 'Run healthkeep org run --help.' });
  const folder = pathOf(context, context.options['folder']);
  const file = readNetworkFile(folder);
  const org = OrgId.safeParse(context.options['org']);
  const url = org.success ? file.members[org.data] : undefined;
  if (!org.success || url === undefined) throw new CodedError('ORG_NOT_HERE', 'The network of this folder has no such organisation.', { why: `Its members are ${Object.keys(file.members).join(', ')}.`, next: 'Name one with --org.' });
  return { org: org.data, folder: join(folder, 'orgs', org.data), ledger: file.ledger, host: '127.0.0.1', port: Number(new URL(url).port), url };
}

function readConfig(path: string): OrgConfig {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new CodedError('CONFIG_INVALID', 'The configuration file cannot be read.', { why: cause instanceof SyntaxError ? 'It is not JSON.' : `The system answered ${(cause as NodeJS.ErrnoException).code ?? 'an error'}.`, next: 'Check the name and the syntax.' }, { cause });
  }
  const parsed = OrgConfig.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const near = unknown === undefined ? undefined : nearest(unknown, Object.keys(OrgConfig.unwrap().shape));
  throw new CodedError('CONFIG_INVALID', unknown === undefined ? `The key "${issue?.path.join('.') ?? ''}" is not right.` : `There is no key "${unknown}".`, { why: issue?.message ?? '', next: near === undefined ? 'Run healthkeep org run --help.' : `Did you mean "${near}"?` });
}

async function open(config: OrgConfig): Promise<Org> {
  mkdirSync(makeFolder(config.folder), { recursive: true });
  const log = fileLog(config.folder);
  const keys = openSqliteKeyValueStore(join(config.folder, 'keys.sqlite'));
  const identity = await openOrgIdentity({ org: config.org, store: keys, clock: systemClock });
  await keys.close();
  const transport = createHttpTransport({ baseUrl: config.ledger, fetch: networkFetch });
  const seams = { clock: systemClock, random: systemRandom, scheduler: realScheduler };
  const deps = { ...seams, log, folder: config.folder, identity, url: config.url ?? `http://${config.host}:${config.port}`, fetch: networkFetch, ledger: createLedgerClient({ transport, ...seams }) };
  switch (orgClass(config.org)) {
    case 'uo':
      return openUserOrg({ ...deps, publishCrl: () => Promise.reject(new CodedError('CRL_NOT_PUBLISHED', 'The revocation list is served, but not yet on the channels.', { why: 'Only the process that runs the ledger changes its channels.', next: 'Run healthkeep demo --no-story on the folder to publish it.' })) });
    case 'ho':
      return openHospital(deps);
    case 'duo':
      return openDataUser(deps);
  }
}
