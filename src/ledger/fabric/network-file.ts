/**
 * The description of a running Fabric network, as JSON: where its peers and orderers listen, which certificates they
 * show, and where each organisation keeps the identities that may be used. Whoever starts a network writes it
 * (`fabric/network.ts` for the one on loopback, an operator by hand for another); the conformance suite, the story on
 * Fabric and `ledger migrate` read it. It holds paths of keys, never keys. Paths are relative to the file's folder.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { CodedError } from '#base/errors.ts';

export interface FabricEndpoint {
  /** `host:port` */
  readonly address: string;
  /** Path of the PEM of the authority of its TLS certificate; absent: plaintext, for loopback only. */
  readonly tlsRootCertificate?: string;
  /** Name in the TLS certificate, where it is not the host's. */
  readonly serverName?: string;
}

export interface FabricUser {
  /** Path of the PEM certificate. */
  readonly certificate: string;
  /** Path of the PKCS#8 PEM key. */
  readonly key: string;
}

export interface FabricOrganisation {
  readonly mspId: string;
  /** Path of the PEM of the authority that issues the organisation's certificates. */
  readonly rootCertificate: string;
  /** Absent: the organisation has clients, but no peer. */
  readonly peer?: FabricEndpoint;
  /** By name. `admin` has the unit `admin`, `peer` the unit `peer`; all others are clients, `system` the organisation's own. */
  readonly users: Readonly<Record<string, FabricUser>>;
}

export interface FabricOrderer extends FabricEndpoint {
  readonly mspId: string;
}

export interface FabricChannel {
  readonly name: string;
  /** MSP ids of the organisations in the channel. */
  readonly members: readonly string[];
  /** Names under which contracts are committed on it. */
  readonly contracts: readonly string[];
}

export interface FabricNetworkFile {
  readonly version: 1;
  readonly organisations: readonly FabricOrganisation[];
  readonly orderers: readonly FabricOrderer[];
  readonly channels: readonly FabricChannel[];
}

type Fields = Readonly<Record<string, unknown>>;

const invalid = (file: string, why: string): CodedError => new CodedError('LEDGER_NETWORK_FILE', 'The description of the Fabric network cannot be used.', { why, next: 'Write it again by starting the network, or correct it by docs/chaincode.md.', file });

/** Reads a network's description; all paths in the result are absolute. Throws LEDGER_NETWORK_FILE. */
export function readFabricNetwork(file: string): FabricNetworkFile {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new CodedError('LEDGER_NETWORK_FILE', 'The description of the Fabric network cannot be read.', { why: 'The file is missing or is no JSON.', next: 'Start the network first; it writes the file.', file }, { cause });
  }
  return parseFabricNetwork(value, file);
}

/** The same from a parsed value; `file` says where it stands. Throws LEDGER_NETWORK_FILE. */
export function parseFabricNetwork(value: unknown, file: string): FabricNetworkFile {
  const folder = dirname(file);
  const root = fieldsOf(value, 'it');
  if (root['version'] !== 1) throw invalid(file, 'Its version is not 1.');
  return { version: 1, organisations: listOf(root['organisations'], 'organisations').map(organisation), orderers: listOf(root['orderers'], 'orderers').map(orderer), channels: listOf(root['channels'], 'channels').map(channel) };

  function fieldsOf(one: unknown, name: string): Fields {
    if (typeof one !== 'object' || one === null || Array.isArray(one)) throw invalid(file, `${name} is not an object.`);
    return one as Fields;
  }
  function listOf(one: unknown, name: string): readonly unknown[] {
    if (!Array.isArray(one)) throw invalid(file, `${name} is not a list.`);
    return one;
  }
  function text(fields: Fields, name: string): string {
    const one = fields[name];
    if (typeof one !== 'string' || one === '') throw invalid(file, `${name} is missing or no text.`);
    return one;
  }
  function path(fields: Fields, name: string): string {
    return resolve(folder, text(fields, name));
  }
  function texts(fields: Fields, name: string): readonly string[] {
    const all = listOf(fields[name], name);
    if (!all.every((one) => typeof one === 'string')) throw invalid(file, `${name} holds something that is no text.`);
    return all as readonly string[];
  }
  function endpoint(fields: Fields): FabricEndpoint {
    const address = text(fields, 'address');
    if (!/^(\[[^\]]+\]|[^:\s]+):\d{1,5}$/.test(address)) throw invalid(file, `"${address}" is no address like host:7051.`);
    return { address, ...(fields['tlsRootCertificate'] === undefined ? {} : { tlsRootCertificate: path(fields, 'tlsRootCertificate') }), ...(fields['serverName'] === undefined ? {} : { serverName: text(fields, 'serverName') }) };
  }
  function organisation(one: unknown): FabricOrganisation {
    const fields = fieldsOf(one, 'an organisation');
    const users = Object.entries(fieldsOf(fields['users'], 'users')).map(([name, user]) => [name, { certificate: path(fieldsOf(user, name), 'certificate'), key: path(fieldsOf(user, name), 'key') }] as const);
    return { mspId: text(fields, 'mspId'), rootCertificate: path(fields, 'rootCertificate'), ...(fields['peer'] === undefined ? {} : { peer: endpoint(fieldsOf(fields['peer'], 'peer')) }), users: Object.fromEntries(users) };
  }
  function orderer(one: unknown): FabricOrderer {
    const fields = fieldsOf(one, 'an orderer');
    return { mspId: text(fields, 'mspId'), ...endpoint(fields) };
  }
  function channel(one: unknown): FabricChannel {
    const fields = fieldsOf(one, 'a channel');
    return { name: text(fields, 'name'), members: texts(fields, 'members'), contracts: texts(fields, 'contracts') };
  }
}
