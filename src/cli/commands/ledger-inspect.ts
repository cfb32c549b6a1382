/** `healthkeep ledger inspect`: channels, blocks, transactions, read as a member organisation reads them. */
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { toBase64url, toHex } from '#base/bytes.ts';
import { readBlock, type BlockFacts } from '#ledger/block.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import type { ChannelName, OrgId } from '#model/ids.ts';
import { channelOrgs, channelsOf } from '#model/orgs.ts';
import type { Command, CommandContext, CommandResult } from '../command.ts';
import { pathOf } from '../context.ts';
import { table } from '../output.ts';
import { openWorld, type World } from '../world.ts';

const IDLE_MS = 300;

export const ledgerInspect: Command = {
  name: ['ledger', 'inspect'],
  summary: 'Lists the channels of a network; with a channel its blocks, with a block number its transactions.',
  arguments: [
    { name: 'CHANNEL', summary: 'uic, drc, con or hdc-…', optional: true },
    { name: 'BLOCK', summary: 'a block number', optional: true },
  ],
  options: { folder: { type: 'string', value: 'DIR', summary: 'the network\'s folder', required: true }, lines: { type: 'boolean', summary: 'one JSON line per block with its writes: what verifier/settle.ts reads' } },
  examples: ['healthkeep ledger inspect --folder demo', 'healthkeep ledger inspect drc --folder demo', 'healthkeep ledger inspect drc --lines --folder demo | node verifier/settle.ts'],
  async run(context) {
    const world = await openWorld(pathOf(context, context.options['folder']));
    try {
      return await inspect(context, world);
    } finally {
      await world.close();
    }
  },
};

async function inspect(context: CommandContext, world: World): Promise<CommandResult | undefined> {
  const members = Object.keys(world.file.members) as OrgId[];
  const channels = channelsOf(members);
  const wanted = context.words[0];
  if (wanted === undefined) {
    const rows: { channel: string; blocks: number; transactions: number; invalid: number }[] = [];
    for (const channel of channels) {
      const blocks = await blocksOf(world, members, channel);
      const transactions = blocks.flatMap((block) => block.transactions);
      rows.push({ channel, blocks: blocks.length, transactions: transactions.length, invalid: transactions.filter((one) => one.code !== 'VALID').length });
    }
    return { json: { channels: rows }, text: table([['channel', 'blocks', 'transactions', 'invalid'], ...rows.map((row) => [row.channel, String(row.blocks), String(row.transactions), String(row.invalid)])]) };
  }
  const channel = channels.find((one) => one === wanted);
  if (channel === undefined) throw new CodedError('USAGE_ARGUMENT', `There is no channel "${wanted}".`, { why: `They are: ${channels.join(', ')}.`, next: 'Name one of them.' });
  const blocks = await blocksOf(world, members, channel);
  if (context.options['lines'] === true) {
    for (const block of blocks) context.streams.out(`${JSON.stringify(factsOf(block))}\n`);
    return undefined;
  }
  if (context.words[1] === undefined) return { json: { channel, blocks: blocks.map(factsOf) } as unknown as Json, text: table([['block', 'hash', 'transactions'], ...blocks.map((block) => [String(block.number), toHex(block.headerHash).slice(0, 16), block.transactions.map((one) => `${one.function ?? 'config'}${one.code === 'VALID' ? '' : ` (${one.code})`}`).join(' ')])]) };
  const block = blocks.find((one) => one.number === Number(context.words[1]));
  if (block === undefined) throw new CodedError('USAGE_ARGUMENT', `There is no block ${context.words[1]} on ${channel}.`, { why: `It has ${blocks.length}.`, next: 'Name a number below that.' });
  return { json: factsOf(block) as unknown as Json, text: blockLines(block) };
}

/** Blocks as an organisation with a peer on the channel reads them. */
async function blocksOf(world: World, members: readonly OrgId[], channel: ChannelName): Promise<BlockFacts[]> {
  const reader = channelOrgs(channel, members).peers[0];
  if (reader === undefined) return [];
  return readAll(world.ledger, channel, (await world.identity(reader)).peer);
}

/** Everything that stands now: the stream is left once nothing came for a moment. */
async function readAll(client: LedgerClient, channel: string, signer: LedgerSigner): Promise<BlockFacts[]> {
  const blocks: BlockFacts[] = [];
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), IDLE_MS * 10);
  try {
    for await (const event of client.blocks({ channel, startBlock: 0, signer, signal: stop.signal })) {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), IDLE_MS);
      blocks.push(readBlock(event.bytes));
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
  return blocks;
}

function factsOf(block: BlockFacts): Json {
  return {
    number: block.number,
    headerHash: toHex(block.headerHash),
    previousHash: toHex(block.previousHash),
    dataHash: toHex(block.dataHash),
    transactions: block.transactions.map((one) => ({
      txId: one.txId, code: one.code, function: one.function ?? null, creator: one.creator.mspId, endorsers: [...one.endorsers],
      writes: one.writes.map((write) => ({ namespace: write.namespace, key: write.key, value: write.value === null ? null : toBase64url(write.value) })),
    })),
  };
}

function blockLines(block: BlockFacts): string[] {
  return [
    `block     ${block.number}`,
    `hash      ${toHex(block.headerHash)}`,
    `previous  ${toHex(block.previousHash)}`,
    `data      ${toHex(block.dataHash)}`,
    ...block.transactions.flatMap((one) => ['', `transaction ${one.txId}`, `  ${one.function ?? 'config'}  ${one.code}`, `  by ${one.creator.mspId}, endorsed by ${one.endorsers.join(', ')}`, ...one.writes.map((write) => `  ${write.value === null ? 'deletes' : 'writes'} ${write.namespace}/${write.key.replaceAll('\u0000', '~')} ${write.value === null ? '' : `${write.value.length} bytes`}`)]),
  ];
}

