/**
 * Serves a contract to Fabric's peers as chaincode-as-a-service, through fabric-shim unmodified: the peer dials, the shim
 * speaks. What the shim does to the process it is loaded into is undone here: it swallows uncaught errors and unhandled
 * rejections, and formats a log record for every message whether anybody reads it or not. Page: docs/chaincode.md.
 */
import type { ChaincodeStub, Shim as ShimClass } from 'fabric-shim';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Log } from '#base/ports.ts';
import { MAX_MESSAGE } from '../grpc-methods.ts';
import type { Chaincode, ContractResponse } from '../stub.ts';
import { portOf } from './chaincode-stub.ts';

export interface ChaincodeTls {
  /** PEM. */
  readonly certificate: string;
  readonly privateKey: string;
  /** PEM of the authority whose certificates peers must show; absent: none is asked for. */
  readonly clientRootCertificate?: string;
}

export interface ChaincodeServerOptions {
  readonly chaincode: Chaincode;
  /** The package id that peers know it by, `label:hash`. */
  readonly packageId: string;
  /** `host:port` to listen on. */
  readonly address: string;
  readonly tls?: ChaincodeTls;
  readonly log: Log;
}

export interface ChaincodeServer {
  close(): Promise<void>;
}

type Shim = typeof ShimClass;
type ShimServer = ReturnType<Shim['server']>;

const LOGGERS = ['lib/chaincode.js', 'lib/handler.js', 'lib/iterators.js', 'lib/server.js', 'lib/stub.js'] as const;
const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** Starts serving. Throws LEDGER_CHAINCODE_ID when the package id is not `label:hash`, LEDGER_PORT when the address cannot be had. */
export async function serveChaincode(options: ChaincodeServerOptions): Promise<ChaincodeServer> {
  const { packageId, address, tls, log } = options;
  // The shim starts with an empty or shortened id without complaint, and no peer ever finds it.
  if (!/^[A-Za-z0-9_.+-]+:[0-9a-f]{64}$/.test(packageId)) throw new CodedError('LEDGER_CHAINCODE_ID', 'The package id is not one.', { why: `"${packageId}" is not label:hash, with 64 hexadecimal digits.`, next: 'Copy what `peer lifecycle chaincode calculatepackageid` prints.' });
  const shim = await loadShim(log);
  const server = shim.server(shimChaincode(options.chaincode, log) as never, { ccid: packageId, address, ...tlsProps(tls), 'grpc.max_receive_message_length': MAX_MESSAGE, 'grpc.max_send_message_length': MAX_MESSAGE } as never);
  try {
    await server.start();
  } catch (cause) {
    throw new CodedError('LEDGER_PORT', `The contract cannot be served on ${address}.`, { why: 'The port is in use or may not be opened.', next: 'Choose another port.', address }, { cause });
  }
  return { close: async () => stop(server) };
}

function tlsProps(tls: ChaincodeTls | undefined): object {
  if (tls === undefined) return {};
  const { certificate, privateKey, clientRootCertificate } = tls;
  return { tlsProps: { cert: Buffer.from(certificate), key: Buffer.from(privateKey), ...(clientRootCertificate === undefined ? {} : { clientCACerts: Buffer.from(clientRootCertificate) }) } };
}

/** NOTE: fabric-shim's server cannot be closed; its gRPC server is a field of it (2.5.8, pinned). */
function stop(server: ShimServer): void {
  (server as unknown as { readonly _server: { forceShutdown(): void } })._server.forceShutdown();
}

/** What the shim calls. It must never reject: the shim would answer nothing, and the peer would wait out its timeout. */
function shimChaincode(chaincode: Chaincode, log: Log): object {
  return {
    Init: async () => ({ status: 200, message: '', payload: new Uint8Array(0) }),
    Invoke: async (stub: ChaincodeStub): Promise<ContractResponse> => {
      try {
        return await chaincode.Invoke(portOf(stub));
      } catch (error) {
        log('warn', 'chaincode.invoke.failed', { channel: stub.getChannelID(), transaction: stub.getTxID(), code: isCoded(error) ? error.code : 'UNCODED' });
        return { status: 500, message: isCoded(error) ? JSON.stringify(error) : String(error), payload: new Uint8Array(0) };
      }
    },
  };
}

async function loadShim(log: Log): Promise<Shim> {
  const { Shim: shim } = await import('fabric-shim');
  for (const name of LOGGERS) quieten(shim.newLogger(name), name, log);
  // Its catch-all would let the process live on after an error that nobody handled.
  (shim.newLogger('_') as unknown as { readonly exceptions: { unhandle(): void } }).exceptions.unhandle();
  for (const listener of process.listeners('unhandledRejection')) if (listener.name === 'loggerUnhandledRejectionFn') process.removeListener('unhandledRejection', listener);
  return shim;
}

/** A line of ours for its warnings and errors, without their text, which may quote a contract's answer; nothing for the rest. */
function quieten(logger: ReturnType<Shim['newLogger']>, name: string, log: Log): void {
  for (const level of LEVELS) {
    const speak = level === 'warn' || level === 'error';
    Object.assign(logger, { [level]: speak ? (text: unknown) => refused(text) || log('warn', 'chaincode.shim', { logger: name, level }) : () => undefined });
  }
}

/** A contract that refuses a transaction is no error of the program. */
const refused = (text: unknown): boolean => typeof text === 'string' && text.includes('returned error response');
