/** `healthkeep ledger migrate`: a pilot that grows up moves its embedded ledger's state to another ledger (docs/moving.md). */
import { readFileSync } from 'node:fs';
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { createGrpcTransport, type GrpcTransport } from '#ledger/fabric/grpc-transport.ts';
import { readFabricNetwork } from '#ledger/fabric/network-file.ts';
import type { OrgId } from '#model/ids.ts';
import { openOrgIdentity, type KeptOrgIdentity } from '#org/identity.ts';
import type { MoveStep } from '#org/move/move-channel.ts';
import { moveLedger, placeOf, settleAll } from '#sim/move.ts';
import { openLedgerOf } from '#sim/network.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import type { Command, CommandContext, CommandResult } from '../command.ts';
import { pathOf } from '../context.ts';
import { readInput } from '../files.ts';
import { holdFolder, makeFolder, readNetworkFile } from '../folder.ts';
import { fileLog } from '../log.ts';
import { membersOf } from '../members.ts';
import { table } from '../output.ts';

type Connect = (org: OrgId) => GrpcTransport;

export const ledgerMigrate: Command = {
  name: ['ledger', 'migrate'],
  summary: 'Moves the state of a folder\'s embedded ledger to another ledger of the same members, with proof that both roots agree.',
  options: {
    folder: { type: 'string', value: 'DIR', summary: 'the network\'s folder; nothing else may run on it', required: true },
    target: { type: 'string', value: 'HOST:PORT', summary: 'gRPC address of an embedded ledger in another process' },
    'tls-root': { type: 'string', value: 'FILE', summary: 'PEM of the authority of the target\'s certificate; without it plaintext' },
    network: { type: 'string', value: 'FILE', summary: 'instead of --target: the description of a Fabric network' },
    archive: { type: 'string', value: 'DIR', summary: 'where the old blocks are kept (default DIR/archive)' },
  },
  examples: ['healthkeep ledger migrate --folder demo --target 127.0.0.1:7051', 'healthkeep ledger migrate --folder demo --network .healthkeep-fabric/network.json --archive /srv/archive'],
  async run(context) {
    const path = pathOf(context, context.options['folder']);
    const file = readNetworkFile(path);
    const connect = targetOf(context);
    const hold = holdFolder(makeFolder(path));
    if (!hold.held) throw new CodedError('FOLDER_IN_USE', 'Another process works in this folder.', { why: 'A demo or ledger runs on it.', next: 'Stop it first.' });
    try {
      return await migrate(context, { path, orgs: Object.keys(file.members) as OrgId[], connect });
    } finally {
      hold.release();
    }
  },
};

/** @throws CodedError USAGE_OPTION, LEDGER_NETWORK_FILE */
function targetOf(context: CommandContext): Connect {
  const { target, network } = context.options;
  if ((target === undefined) === (network === undefined)) throw new CodedError('USAGE_OPTION', 'The target is missing or said twice.', { why: 'Either --target or --network says where the state goes.', next: 'Run healthkeep ledger migrate --help.' });
  if (network === undefined) {
    const root = context.options['tls-root'];
    const tls = root === undefined ? {} : { tlsRootCertificate: new TextDecoder().decode(readInput(pathOf(context, root))), serverName: 'localhost' };
    return () => createGrpcTransport({ address: String(target), ...tls });
  }
  const file = pathOf(context, network);
  const { organisations } = readFabricNetwork(file);
  return (org) => {
    const peer = organisations.find(({ mspId }) => mspId === org)?.peer;
    if (peer === undefined) throw new CodedError('LEDGER_NETWORK_FILE', `The Fabric network has no peer of ${org}.`, { next: 'Describe it in the file.', file });
    const { address, tlsRootCertificate, serverName } = peer;
    return createGrpcTransport({ address, ...(tlsRootCertificate === undefined ? {} : { tlsRootCertificate: readFileSync(tlsRootCertificate, 'utf8') }), ...(serverName === undefined ? {} : { serverName }) });
  };
}

async function migrate(context: CommandContext, { path, orgs, connect }: { readonly path: string; readonly orgs: readonly OrgId[]; readonly connect: Connect }): Promise<CommandResult> {
  const seams = { clock: systemClock, random: systemRandom, scheduler: realScheduler, log: fileLog(path) };
  const members = membersOf(readNetworkFile(path));
  const connections = new Map<OrgId, GrpcTransport>();
  const here = await openLedgerOf({ folder: path, ...seams }, members);
  try {
    const identities = await identitiesOf(path, orgs);
    for (const org of orgs) connections.set(org, connect(org));
    const source = placeOf({ identities, connect: () => here.ledger.transport(), seams });
    const target = placeOf({ identities, connect: (org) => connections.get(org) as GrpcTransport, seams });
    const archive = pathOf(context, context.options['archive'] ?? `${path}/archive`);
    const moved = await moveLedger({ identities, source, target, archive, progress: (step) => context.streams.err(`${said(step)}\n`), tablesOf: (channel, leaveOut) => here.ledger.stateRoot(channel, leaveOut) });
    const anchors = await settleAll({ identities, target, folder: path, archive, seams });
    return {
      json: { moved, anchors, archive } as unknown as Json,
      text: [...table([['channel', 'keys', 'state root', 'sealed by'], ...moved.map((one) => [one.channel, String(one.keys), one.root, one.sealedBy.join(', ')])]), '', `${anchors} anchors found again. The old blocks are in ${archive}.`, 'The old ledger takes nothing any more; let every process use the new one from now on.'],
    };
  } finally {
    for (const connection of connections.values()) connection.close();
    await here.close();
  }
}

async function identitiesOf(path: string, orgs: readonly OrgId[]): Promise<ReadonlyMap<OrgId, KeptOrgIdentity>> {
  const identities = new Map<OrgId, KeptOrgIdentity>();
  for (const org of orgs) {
    const store = openSqliteKeyValueStore(`${path}/orgs/${org}/keys.sqlite`);
    try {
      identities.set(org, await openOrgIdentity({ org, store, clock: systemClock }));
    } finally {
      await store.close();
    }
  }
  return identities;
}

const WORDS: Readonly<Record<MoveStep['step'], string>> = { compared: 'is fit to take the state', frozen: 'is frozen', archived: 'is archived', announced: 'is announced at the target', carried: 'is being carried over', sealed: 'is sealed by all who run peers' };

function said({ channel, step, done, of }: MoveStep): string {
  const count = of === undefined ? (done === undefined ? '' : ` (${done} blocks)`) : ` (${done === undefined ? '' : `${done} of `}${of} keys)`;
  return `${channel} ${WORDS[step]}${count}`;
}
