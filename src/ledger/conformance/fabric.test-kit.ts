/**
 * The suite's harness over a running Fabric network, from its description (`ledger/fabric/network-file.ts`). The network
 * must have the suite's channels (`harness.ts`) with the probe committed as `probe` and `helper`, two packages of one
 * program, and its own A, B and C are found by who is on which channel. What else it needs: docs/chaincode.md.
 */
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { CodedError } from '#base/errors.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import type { LedgerClient, LedgerSigner } from '../client.ts';
import { createNativeSigner } from '../embedded/native-signer.ts';
import { createGrpcTransport, type GrpcTransport } from '../fabric/grpc-transport.ts';
import { readFabricNetwork, type FabricNetworkFile, type FabricOrganisation } from '../fabric/network-file.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { channels, type Abilities, type Harness, type SignerName } from './harness.ts';

/** How long a change may take to reach another member's peer, through gossip. */
const PATIENCE_MILLISECONDS = 10_000;
const CONTRACTS = ['probe', 'helper'] as const;

export interface FabricHarness {
  readonly harness: Harness;
  readonly abilities: readonly (keyof Abilities)[];
  close(): Promise<void>;
}

interface Cast {
  readonly a: FabricOrganisation;
  readonly b: FabricOrganisation;
  readonly c: FabricOrganisation;
}

const unfit = (why: string): CodedError => new CodedError('LEDGER_NETWORK_FILE', 'The network is not one that the conformance suite can run on.', { why, next: 'Read in docs/chaincode.md what the suite needs.' });

function castOf({ organisations, channels: list }: FabricNetworkFile): Cast {
  for (const name of channels) {
    const found = list.find((one) => one.name === name);
    if (found === undefined) throw unfit(`There is no channel ${name}.`);
    for (const contract of CONTRACTS) if (!found.contracts.includes(contract)) throw unfit(`The contract ${contract} is not on channel ${name}.`);
  }
  const membersOf = (name: string): readonly string[] => list.find((one) => one.name === name)?.members ?? [];
  const on = (mspId: string): string => channels.filter((name) => membersOf(name).includes(mspId)).join(' ');
  const find = (wanted: string): FabricOrganisation => {
    const found = organisations.find(({ mspId }) => on(mspId) === wanted);
    if (found === undefined) throw unfit(`No organisation is on exactly the channels "${wanted}".`);
    return found;
  };
  return { a: find('solo pair either'), b: find('pair either theirs'), c: find('') };
}

function signerOf(org: FabricOrganisation, name: string): LedgerSigner {
  const user = org.users[name];
  if (user === undefined) throw unfit(`${org.mspId} has no user ${name}.`);
  const privateKeyPkcs8 = createPrivateKey(readFileSync(user.key)).export({ format: 'der', type: 'pkcs8' });
  return createNativeSigner({ mspId: org.mspId, certificate: readFileSync(user.certificate, 'utf8'), privateKeyPkcs8 });
}

function transportOf({ mspId, peer }: FabricOrganisation): GrpcTransport {
  if (peer === undefined) throw unfit(`${mspId} has no peer.`);
  const { address, tlsRootCertificate, serverName } = peer;
  return createGrpcTransport({ address, ...(tlsRootCertificate === undefined ? {} : { tlsRootCertificate: readFileSync(tlsRootCertificate, 'utf8') }), ...(serverName === undefined ? {} : { serverName }) });
}

/** Opens connections to A's and B's peers. Throws LEDGER_NETWORK_FILE. */
export function openFabricHarness(file: string): FabricHarness {
  const network = readFabricNetwork(file);
  const { a, b, c } = castOf(network);
  const signers = { a: signerOf(a, 'system'), b: signerOf(b, 'system'), c: signerOf(c, 'system'), adminA: signerOf(a, 'admin'), peerA: signerOf(a, 'peer') };
  const transports = { a: transportOf(a), b: transportOf(b) };
  // A caller goes to its own organisation's peer; who is not on a channel knocks at a member's.
  const side = (mspId: string, channel: string): 'a' | 'b' => (channel === 'theirs' || (channel !== 'solo' && mspId === b.mspId) ? 'b' : 'a');
  const clientOf = (transport: GrpcTransport): LedgerClient => createLedgerClient({ transport, clock: systemClock, random: systemRandom, scheduler: realScheduler });
  const clients = { a: clientOf(transports.a), b: clientOf(transports.b) };
  const late = a.users['expired'] === undefined ? {} : { expiry: { signer: signerOf(a, 'expired') } };
  const harness: Harness = {
    ...late,
    client: {
      submit: (call) => clients[side(call.signer.mspId, call.channel)].submit(call),
      evaluate: (call) => clients[side(call.signer.mspId, call.channel)].evaluate(call),
      blocks: (options) => clients[side(options.signer.mspId, options.channel)].blocks(options),
      events: (options) => clients[side(options.signer.mspId, options.channel)].events(options),
    },
    transport: (who: SignerName, channel) => transports[side(signers[who].mspId, channel)],
    msp: { a: a.mspId, b: b.mspId, c: c.mspId }, signers, channel: (name) => name, now: () => systemClock.now(), patience: PATIENCE_MILLISECONDS,
  };
  return {
    harness, abilities: a.users['expired'] === undefined ? [] : ['expiry'],
    close: async () => {
      transports.a.close();
      transports.b.close();
    },
  };
}
