/**
 * A contract that runs in another process, in any language for which Fabric has a shim: `deploy` takes it like one in
 * this process. Each organisation's peer has a conversation of its own with the program, as on Fabric. Page:
 * docs/chaincode.md.
 */
import { assert, CodedError } from '#base/errors.ts';
import type { Scheduler } from '#base/ports.ts';
import type { Chaincode } from '../stub.ts';
import { peerSideOf } from './contract-stub.ts';
import { ChaincodeStream, unreachable, type Completed, type StreamOptions } from './external-stream.ts';

export interface ExternalChaincodeOptions extends StreamOptions {
  readonly scheduler: Scheduler;
  /** Milliseconds until a program must have registered; default 3,000. */
  readonly connectMilliseconds?: number;
  /** Milliseconds until a transaction must have been answered; default 30,000, Fabric's `chaincode.executetimeout`. */
  readonly executeMilliseconds?: number;
}

export interface ExternalChaincode extends Chaincode {
  /** Ends the conversations; the program itself is somebody else's. */
  close(): void;
}

/**
 * Connects when first called, and again after the program died: calls in between fail at once.
 * Throws LEDGER_CONTRACT_UNREACHABLE, LEDGER_CONTRACT_TIMEOUT, LEDGER_CONTRACT_PROTOCOL out of `Invoke`.
 */
export function externalChaincode(options: ExternalChaincodeOptions): ExternalChaincode {
  const { scheduler, connectMilliseconds = 3_000, executeMilliseconds = 30_000 } = options;
  const streams = new Map<string, ChaincodeStream>();
  let closed = false;
  const streamOf = (peer: string): ChaincodeStream => {
    const known = streams.get(peer);
    if (known !== undefined && known.ended === undefined) return known;
    if (closed) throw unreachable('the ledger is closing');
    const fresh = new ChaincodeStream(options);
    streams.set(peer, fresh);
    return fresh;
  };
  return {
    async Invoke(stub) {
      const side = peerSideOf(stub);
      assert(side !== undefined, 'an external contract runs behind the ledger only');
      const stream = streamOf(side.context.peer);
      await within(stream.ready(), { scheduler, milliseconds: connectMilliseconds }, () => {
        const late = unreachable(`the program at ${options.address} did not register within ${connectMilliseconds} ms`);
        stream.end(late);
        return late;
      });
      const { response, event } = await within<Completed>(stream.execute(side), { scheduler, milliseconds: executeMilliseconds }, () => {
        stream.forget(side);
        return new CodedError('LEDGER_CONTRACT_TIMEOUT', 'The contract took too long.', { why: `timeout expired while executing transaction: ${executeMilliseconds} ms`, next: 'Look at what the contract was doing; nothing was written.', txId: side.context.txId });
      });
      if (event !== undefined) stub.setEvent(event.name, event.payload);
      return response;
    },
    close() {
      closed = true;
      for (const stream of streams.values()) stream.end(unreachable('the ledger is closing'));
    },
  };
}

/** The work's result, or the error of `late` when it took too long. */
async function within<T>(work: Promise<T>, { scheduler, milliseconds }: { readonly scheduler: Scheduler; readonly milliseconds: number }, late: () => CodedError): Promise<T> {
  const stop = new AbortController();
  try {
    return await Promise.race([
      work,
      scheduler.sleep(milliseconds, stop.signal).then(() => {
        if (stop.signal.aborted) return work;
        throw late();
      }),
    ]);
  } finally {
    stop.abort();
  }
}
