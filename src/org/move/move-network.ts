/** Moves all channels of a consortium: every one is compared first, then all are frozen, then CON goes over, which says who speaks on the others. */
import type { ChannelName } from '#model/ids.ts';
import { CON } from '#model/orgs.ts';
import { carryRevocations } from './likeness.ts';
import { carryOver, compareChannel, firstVoice, freezeSource, type ChannelMove, type MovedChannel } from './move-channel.ts';

export interface NetworkMove extends Omit<ChannelMove, 'channel' | 'voices'> {
  readonly channels: readonly ChannelName[];
  /** Those who run peers on a channel. */
  voicesOf(channel: ChannelName): ChannelMove['voices'];
  /** Puts a revocation list into the target's configuration, in its organisation's name. */
  publishCrl(channel: ChannelName, mspId: string, crl: string): Promise<void>;
}

/** Nothing is frozen while any channel of the target is not fit. Throws as the steps of one channel do. */
export async function moveNetwork(network: NetworkMove): Promise<readonly MovedChannel[]> {
  const moves = network.channels.map((channel): ChannelMove => ({ ...network, channel, voices: network.voicesOf(channel) }));
  for (const move of moves) {
    const { channel, source, target } = move;
    const reader = firstVoice(move).operator;
    await carryRevocations(await source.config(channel, reader), await target.config(channel, reader), (mspId, crl) => network.publishCrl(channel, mspId, crl));
    await compareChannel(move);
  }
  // CON last: the others ask it who may speak, which stays possible, but templates and members are voted on there.
  for (const move of byCon(moves, 'last')) await freezeSource(move);
  const moved: MovedChannel[] = [];
  for (const move of byCon(moves, 'first')) moved.push(await carryOver(move));
  return moved;
}

function byCon(moves: readonly ChannelMove[], place: 'first' | 'last'): readonly ChannelMove[] {
  const con = moves.filter((move) => move.channel === CON);
  const others = moves.filter((move) => move.channel !== CON);
  return place === 'first' ? [...con, ...others] : [...others, ...con];
}
