/** Typed calls of the contracts: inputs checked by the compiler, outputs parsed by the same schemas that the contracts use. */
import type { Json } from '#base/canonical-json.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import { CON, contractOf, DRC, hdcOf, UIC, type ChannelKind } from '#model/orgs.ts';
import type { ChannelName, OrgId } from '#model/ids.ts';
import type { z } from 'zod';
import { catalogue, type EvaluateName, type Input, type Output, type SubmitName } from './catalogue.ts';

export interface ClientOptions {
  readonly channel: ChannelName;
  readonly signer: LedgerSigner;
}

export interface Submitted<O> {
  readonly txId: string;
  readonly blockNumber: number;
  readonly output: O;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface ContractClient<K extends ChannelKind> {
  /** Endorsed, ordered and durably committed. Throws the contract's CodedError or a LEDGER_* code (ledger/client.ts). */
  submit<N extends SubmitName<K>>(name: N, input: Input<K, N>, options?: CallOptions): Promise<Submitted<Output<K, N>>>;
  /** Read from one peer's committed state. Throws as `submit`. */
  evaluate<N extends EvaluateName<K>>(name: N, input: Input<K, N>, options?: CallOptions): Promise<Output<K, N>>;
}

/** A client of the contract on a channel, in one caller's name. Without a kind its type knows the transactions of all four. */
export function contractClient<K extends ChannelKind = ChannelKind>(ledger: LedgerClient, { channel, signer }: ClientOptions): ContractClient<K> {
  const contract = contractOf(channel);
  const outputs = catalogue[contract].outputs as Readonly<Record<string, z.ZodType>>;
  const parse = <O>(name: string, output: Json): O => (outputs[name] as z.ZodType).parse(output) as O;
  const call = (name: string, input: unknown, options: CallOptions | undefined) => ({ channel, contract, name, input: input as Json, signer, ...options });
  return {
    async submit(name, input, options) {
      const { txId, blockNumber, output } = await ledger.submit(call(name, input, options));
      return { txId, blockNumber, output: parse(name, output) };
    },
    async evaluate(name, input, options) {
      return parse(name, await ledger.evaluate(call(name, input, options)));
    },
  };
}

export const uicClient = (ledger: LedgerClient, signer: LedgerSigner): ContractClient<'uic'> => contractClient(ledger, { channel: UIC, signer });
export const drcClient = (ledger: LedgerClient, signer: LedgerSigner): ContractClient<'drc'> => contractClient(ledger, { channel: DRC, signer });
export const conClient = (ledger: LedgerClient, signer: LedgerSigner): ContractClient<'con'> => contractClient(ledger, { channel: CON, signer });
/** On the channel of one keeper. */
export const hdcClient = (ledger: LedgerClient, { keeper, signer }: { readonly keeper: OrgId; readonly signer: LedgerSigner }): ContractClient<'hdc'> => contractClient(ledger, { channel: hdcOf(keeper), signer });
