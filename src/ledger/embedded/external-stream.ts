/**
 * One peer's conversation with a program that runs a contract (Fabric's `protos.Chaincode/Connect`, chaincode as a
 * service): the peer dials, the program registers under its package id, then every transaction is a message and an answer
 * in it. Both sides know a transaction by its channel and id; a program that dies takes its running transactions along.
 */
import { Client, credentials, Metadata, type ChannelCredentials, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import { fromUtf8 } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Log } from '#base/ports.ts';
import { MAX_MESSAGE } from '../grpc-methods.ts';
import { ChaincodeMessage, chaincodeMessageType as type } from '../protos/chaincode.ts';
import { ChaincodeId, ChaincodeInput, Response } from '../protos/peer.ts';
import type { ContractResponse } from '../stub.ts';
import type { PeerSide } from './contract-stub.ts';
import { answerRequest, isRequest, type RunningCall } from './external-calls.ts';

const CONNECT = '/protos.Chaincode/Connect';

export interface ExternalTls {
  /** PEM of the authority of the program's certificate. */
  readonly rootCertificate: string;
  /** PEM; both or neither, for a program that asks for a certificate. */
  readonly certificate?: string;
  readonly privateKey?: string;
  /** Name in the program's certificate, where it is not the host's. */
  readonly serverName?: string;
}

export interface StreamOptions {
  /** `host:port` */
  readonly address: string;
  readonly tls?: ExternalTls;
  /** `label:hash` that the program must register with; absent: whatever it says. */
  readonly packageId?: string;
  readonly log: Log;
}

export interface Completed {
  readonly response: ContractResponse;
  readonly event: { readonly name: string; readonly payload: Uint8Array } | undefined;
}

interface Waiting extends RunningCall {
  resolve(completed: Completed): void;
  reject(error: Error): void;
}

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
const keep = (bytes: Buffer): Uint8Array => bytes;
const contextKey = (channel: string, txId: string): string => `${channel} ${txId}`;

/** The refusal while a program cannot be reached, in the words of Fabric's peer. */
export const unreachable = (why: string, cause?: unknown): CodedError => new CodedError('LEDGER_CONTRACT_UNREACHABLE', 'The program that runs the contract cannot be reached.', { why: `could not launch chaincode: ${why}`, next: 'Start the program; the ledger connects to it again by itself.' }, { cause });

function credentialsOf(tls: ExternalTls | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const own = tls.certificate === undefined || tls.privateKey === undefined ? [] : [Buffer.from(tls.privateKey), Buffer.from(tls.certificate)];
  return credentials.createSsl(Buffer.from(tls.rootCertificate), ...own);
}

export class ChaincodeStream {
  readonly #options: StreamOptions;
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Uint8Array, Uint8Array>;
  readonly #running = new Map<string, Waiting>();
  readonly #ready = Promise.withResolvers<void>();
  #ended: CodedError | undefined;

  constructor(options: StreamOptions) {
    this.#options = options;
    const { address, tls } = options;
    // A pool of its own: a connection that failed must not make the next one wait.
    this.#client = new Client(address, credentialsOf(tls), {
      'grpc.use_local_subchannel_pool': 1, 'grpc.max_receive_message_length': MAX_MESSAGE, 'grpc.max_send_message_length': MAX_MESSAGE, ...(tls?.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': tls.serverName }),
    });
    this.#stream = this.#client.makeBidiStreamRequest(CONNECT, same, keep, new Metadata(), {});
    this.#ready.promise.catch(() => undefined);
    this.#stream.on('data', (bytes: Uint8Array) => this.#receive(bytes));
    this.#stream.on('error', (error: ServiceError) => this.end(unreachable(`the connection to ${address} failed`, error)));
    this.#stream.on('end', () => this.end(unreachable(`the program at ${address} ended the conversation`)));
  }

  /** Why the conversation is over; undefined while it goes on. */
  get ended(): CodedError | undefined {
    return this.#ended;
  }

  /** Resolves when the program is registered. */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Ends the conversation; what runs fails with the error. */
  end(error: CodedError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#options.log('info', 'chaincode.stream.ended', { code: error.code });
    this.#ready.reject(error);
    for (const waiting of this.#running.values()) waiting.reject(error);
    this.#running.clear();
    this.#stream.cancel();
    this.#client.close();
  }

  /** Runs the call in the program. */
  execute(side: PeerSide): Promise<Completed> {
    const { channel, txId, args, proposalBytes } = side.context;
    const key = contextKey(channel, txId);
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    // As on a peer: a contract that calls itself in the same transaction, or the same proposal twice at once.
    if (this.#running.has(key)) return Promise.reject(new Error(`txid: ${txId}(${channel}) exists`));
    return new Promise((resolve, reject) => {
      this.#running.set(key, { side, queries: new Map(), opened: 0, resolve, reject });
      this.#write(ChaincodeMessage.encode({ type: type.transaction, payload: ChaincodeInput.encode({ args }), txid: txId, channelId: channel, proposal: { proposalBytes } }));
    });
  }

  /** Lets go of a call that took too long; what the program still asks for it is refused. */
  forget({ context }: PeerSide): void {
    this.#running.delete(contextKey(context.channel, context.txId));
  }

  #write(bytes: Uint8Array): void {
    if (this.#ended === undefined) this.#stream.write(bytes);
  }

  #receive(bytes: Uint8Array): void {
    try {
      this.#dispatch(ChaincodeMessage.decode(bytes));
    } catch (error) {
      if (!isCoded(error)) throw error;
      this.end(error.code === 'LEDGER_CONTRACT_PROTOCOL' ? error : broken('Its message is not what Fabric prescribes.', error));
    }
  }

  #dispatch(message: ChaincodeMessage): void {
    if (message.type === type.register) return this.#register(message.payload);
    if (message.type === type.keepalive) return;
    const key = contextKey(message.channelId, message.txid);
    const running = this.#running.get(key);
    if (isRequest(message)) return void answerRequest(running, message).then((answer) => this.#write(answer));
    if (message.type !== type.completed && message.type !== type.error) throw broken(`It sent a message of type ${message.type}.`);
    this.#running.delete(key);
    if (message.type === type.error) running?.reject(new Error(`transaction returned with failure: ${fromUtf8(message.payload)}`));
    else running?.resolve(completedOf(message));
  }

  #register(payload: Uint8Array): void {
    const { name } = ChaincodeId.decode(payload);
    const { packageId } = this.#options;
    if (packageId !== undefined && name !== packageId) throw broken(`It registered as ${name}, expected was ${packageId}.`);
    this.#write(ChaincodeMessage.encode({ type: type.registered }));
    this.#write(ChaincodeMessage.encode({ type: type.ready }));
    this.#ready.resolve();
  }
}

function broken(why: string, cause?: unknown): CodedError {
  return new CodedError('LEDGER_CONTRACT_PROTOCOL', 'The program that runs the contract does not keep to the protocol.', { why, next: 'Check that address and package id belong to the contract, and that it uses a shim of Fabric 2.5.' }, { cause });
}

function completedOf({ payload, chaincodeEvent }: ChaincodeMessage): Completed {
  return { response: Response.decode(payload), event: chaincodeEvent === undefined ? undefined : { name: chaincodeEvent.eventName, payload: chaincodeEvent.payload } };
}
