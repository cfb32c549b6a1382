/** `healthkeep chaincode serve`: one of our contracts as chaincode-as-a-service, for the peers of a Fabric network or for an embedded ledger elsewhere. */
import { serveChaincode } from '#ledger/fabric/chaincode-server.ts';
import type { Chaincode } from '#ledger/stub.ts';
import { conContract } from '#contracts/con.ts';
import { drcContract } from '#contracts/drc.ts';
import { hdcContract } from '#contracts/hdc.ts';
import { uicContract } from '#contracts/uic.ts';
import type { ChannelKind } from '#model/orgs.ts';
import { CodedError } from '#base/errors.ts';
import { fromUtf8 } from '#base/bytes.ts';
import type { Log } from '#base/ports.ts';
import type { Command, CommandContext } from '../command.ts';
import { pathOf } from '../context.ts';
import { readInput } from '../files.ts';

const CONTRACTS: Readonly<Record<ChannelKind, Chaincode>> = { uic: uicContract, hdc: hdcContract, drc: drcContract, con: conContract };

export const chaincodeServe: Command = {
  name: ['chaincode', 'serve'],
  summary: 'Serves a contract to Fabric\'s peers as chaincode-as-a-service.',
  options: {
    'channel-kind': { type: 'string', value: 'KIND', summary: 'whose contract: uic, hdc, drc or con', required: true },
    address: { type: 'string', value: 'HOST:PORT', summary: 'where peers dial in (default: CHAINCODE_SERVER_ADDRESS)' },
    id: { type: 'string', value: 'LABEL:HASH', summary: 'the package id the peers calculated (default: CORE_CHAINCODE_ID)' },
    'tls-certificate': { type: 'string', value: 'FILE', summary: 'PEM; with --tls-key, peers must use TLS' },
    'tls-key': { type: 'string', value: 'FILE', summary: 'PEM of the certificate\'s key' },
    'tls-client-root': { type: 'string', value: 'FILE', summary: 'PEM of the authority whose certificate peers must show' },
  },
  examples: ['healthkeep chaincode serve --channel-kind hdc --address 127.0.0.1:9101 --id hdc_1.0:9f86d081884c7d65…'],
  async run(context) {
    const kind = kindOf(context.options['channel-kind']);
    const address = textOf(context, { option: 'address', variable: 'CHAINCODE_SERVER_ADDRESS' });
    const packageId = textOf(context, { option: 'id', variable: 'CORE_CHAINCODE_ID' });
    const log: Log = (level, event, fields = {}) => context.streams.err(`${JSON.stringify({ level, event, ...fields })}\n`);
    const server = await serveChaincode({ chaincode: CONTRACTS[kind], packageId, address, log, ...tlsOf(context) });
    try {
      context.streams.out(context.json ? `${JSON.stringify({ kind, address, id: packageId })}\n` : `Contract ${kind} at ${address} as ${packageId}\nCtrl-C ends it.\n`);
      await new Promise<void>((done) => (context.signal.aborted ? done() : context.signal.addEventListener('abort', () => done(), { once: true })));
    } finally {
      await server.close();
    }
    return undefined;
  },
};

function kindOf(value: string | boolean | undefined): ChannelKind {
  if (typeof value === 'string' && Object.hasOwn(CONTRACTS, value)) return value as ChannelKind;
  throw new CodedError('USAGE_OPTION', '--channel-kind needs one of the contracts.', { why: `"${String(value)}" is none of ${Object.keys(CONTRACTS).join(', ')}.`, next: 'Run healthkeep chaincode serve --help.' });
}

/** Fabric's own variables name the same things in a chaincode's environment. */
function textOf({ options, env }: CommandContext, { option, variable }: { readonly option: string; readonly variable: string }): string {
  const value = options[option] ?? env[variable];
  if (typeof value === 'string' && value !== '') return value;
  throw new CodedError('USAGE_OPTION', `The option --${option} is missing.`, { why: `${variable} is not set either.`, next: 'Run healthkeep chaincode serve --help.' });
}

function tlsOf(context: CommandContext): { tls?: { certificate: string; privateKey: string; clientRootCertificate?: string } } {
  const { 'tls-certificate': certificate, 'tls-key': key, 'tls-client-root': root } = context.options;
  if (certificate === undefined && key === undefined && root === undefined) return {};
  if (certificate === undefined || key === undefined) throw new CodedError('USAGE_OPTION', 'TLS needs a certificate and its key.', { why: 'Only one of --tls-certificate and --tls-key is there.', next: 'Give both, or neither.' });
  const read = (path: string | boolean): string => fromUtf8(readInput(pathOf(context, path)));
  return { tls: { certificate: read(certificate), privateKey: read(key), ...(root === undefined ? {} : { clientRootCertificate: read(root) }) } };
}
