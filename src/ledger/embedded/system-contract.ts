/** What a peer answers of itself: Fabric's system contract `cscc`, as far as clients of a channel need it. */
import { fromUtf8 } from '#base/bytes.ts';
import { Config } from '../protos/config.ts';
import type { ProposalFacts } from '../transaction.ts';
import type { Channel } from './channel.ts';

export interface SystemAnswer {
  readonly status: number;
  readonly message: string;
  readonly payload: Uint8Array;
}

/** The answer when the proposal calls `cscc`; undefined when it calls anything else. The caller is a member already. */
export function askSystemContract(channel: Channel, { contract, args }: Pick<ProposalFacts, 'contract' | 'args'>): SystemAnswer | undefined {
  if (contract !== 'cscc') return undefined;
  const [name, of] = args.map((argument) => fromUtf8(argument));
  if (name !== 'GetChannelConfig') return { status: 500, message: `Requested function ${name ?? ''} not found.`, payload: new Uint8Array(0) };
  if (of !== channel.name) return { status: 500, message: `Unknown chain ID, ${of ?? ''}`, payload: new Uint8Array(0) };
  return { status: 200, message: '', payload: Config.encode(channel.view.config) };
}
