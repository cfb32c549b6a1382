/** `healthkeep ledger inspect`: channels, blocks, transactions, read as a member organisation reads them. */
import { join } from 'node:path';
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { toBase64url, toHex } from '#base/bytes.ts';
import { examineBlock, type BlockReport, type SignatureReport, type TransactionReport } from '#ledger/embedded/block-report.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import type { ChannelName, OrgId } from '#model/ids.ts';
import { channelOrgs, channelsOf } from '#model/orgs.ts';
import type { Command, CommandContext, CommandResult } from '../command.ts';
import { pathOf } from '../context.ts';
import { makeFolder } from '../folder.ts';
import { writeOutput } from '../files.ts';
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
  options: { folder: { type: 'string', value: 'DIR', summary: 'the network\'s folder', required: true }, lines: { type: 'boolean', summary: 'one JSON line per block with its writes: what verifier/settle.ts reads' }, blocks: { type: 'string', value: 'DIR', summary: 'also write the blocks there as Fabric\'s common.Block, for configtxlator and other programs' } },
  examples: ['healthkeep ledger inspect --folder demo', 'healthkeep ledger inspect drc --folder demo', 'healthkeep ledger inspect drc --lines --folder demo | node verifier/settle.ts', 'healthkeep ledger inspect con --blocks blocks --folder demo'],
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
      const blocks = await blocksOf(context, world, channel);
      const transactions = blocks.flatMap((block) => block.transactions);
      rows.push({ channel, blocks: blocks.length, transactions: transactions.length, invalid: transactions.filter((one) => one.code !== 'VALID').length });
    }
    return { json: { channels: rows }, text: table([['channel', 'blocks', 'transactions', 'invalid'], ...rows.map((row) => [row.channel, String(row.blocks), String(row.transactions), String(row.invalid)])]) };
  }
  const channel = channels.find((one) => one === wanted);
  if (channel === undefined) throw new CodedError('USAGE_ARGUMENT', `There is no channel "${wanted}".`, { why: `They are: ${channels.join(', ')}.`, next: 'Name one of them.' });
  const blocks = await blocksOf(context, world, channel);
  if (context.options['lines'] === true) {
    for (const block of blocks) context.streams.out(`${JSON.stringify(factsOf(block))}\n`);
    return undefined;
  }
  if (context.words[1] === undefined) return { json: { channel, blocks: blocks.map(factsOf) } as unknown as Json, text: table([['block', 'hash', 'transactions'], ...blocks.map((block) => [String(block.number), toHex(block.headerHash).slice(0, 16), block.transactions.map((one) => `${one.function === '' ? one.type : one.function}${one.code === 'VALID' ? '' : ` (${one.code})`}`).join(' ')])]) };
  const block = blocks.find((one) => one.number === Number(context.words[1]));
  if (block === undefined) throw new CodedError('USAGE_ARGUMENT', `There is no block ${context.words[1]} on ${channel}.`, { why: `It has ${blocks.length}.`, next: 'Name a number below that.' });
  return { json: factsOf(block) as unknown as Json, text: blockLines(block) };
}

/** Blocks as an organisation with a peer on the channel reads them; written as they came where `--blocks` says. */
async function blocksOf(context: CommandContext, world: World, channel: ChannelName): Promise<BlockReport[]> {
  const [reader] = channelOrgs(channel, Object.keys(world.file.members) as OrgId[]).peers;
  if (reader === undefined) return [];
  const raw = await readAll(world.ledger, channel, (await world.identity(reader)).peer);
  if (context.options['blocks'] !== undefined) writeBlocks(makeFolder(pathOf(context, context.options['blocks'])), channel, raw);
  let before: Uint8Array | undefined;
  return raw.map((bytes) => {
    const report = examineBlock(bytes, before);
    before = report.headerHash;
    return report;
  });
}

function writeBlocks(folder: string, channel: ChannelName, raw: readonly Uint8Array[]): void {
  raw.forEach((bytes, number) => writeOutput(join(folder, `${channel}-${String(number).padStart(6, '0')}.block`), Uint8Array.from(bytes)));
}

/** Everything that stands now: the stream is left once nothing came for a moment. */
async function readAll(client: LedgerClient, channel: string, signer: LedgerSigner): Promise<Uint8Array[]> {
  const blocks: Uint8Array[] = [];
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), IDLE_MS * 10);
  try {
    for await (const event of client.blocks({ channel, startBlock: 0, signer, signal: stop.signal })) {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), IDLE_MS);
      blocks.push(event.bytes);
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
  return blocks;
}

const signatureFacts = ({ mspId, right }: SignatureReport): Json => ({ mspId, right });

/** A block as `--json` and `--lines` print it. */
export function factsOf(block: BlockReport): Json {
  return {
    number: block.number,
    headerHash: toHex(block.headerHash),
    previousHash: toHex(block.previousHash),
    previousHashRight: block.previousHashRight ?? null,
    dataHash: toHex(block.dataHash),
    dataHashRight: block.dataHashRight,
    commitHash: toHex(block.commitHash),
    ordererSignatures: block.ordererSignatures.map(signatureFacts),
    transactions: block.transactions.map(transactionFacts),
  };
}

function transactionFacts(one: TransactionReport): Json {
  return {
    txId: one.txId, type: one.type, code: one.code, contract: one.contract, function: one.function ?? null, creator: one.creator.mspId, endorsers: [...one.endorsers],
    creatorSignature: one.creatorSignature === undefined ? null : signatureFacts(one.creatorSignature), endorsements: one.endorsements.map(signatureFacts), keys: { ...one.keys },
    event: one.event?.name ?? null,
    writes: one.writes.map((write) => ({ namespace: write.namespace, key: write.key, value: write.value === null ? null : toBase64url(write.value) })),
  };
}

const marked = ({ mspId, right }: SignatureReport): string => `${mspId}${right ? '' : ' (WRONG SIGNATURE)'}`;

function blockLines(block: BlockReport): string[] {
  return [
    `block     ${block.number}`,
    `hash      ${toHex(block.headerHash)}`,
    `previous  ${toHex(block.previousHash)}${block.previousHashRight === false ? '  IS NOT THE HASH OF THE BLOCK BEFORE' : ''}`,
    `data      ${toHex(block.dataHash)}${block.dataHashRight ? '' : '  IS NOT THE HASH OF THE TRANSACTIONS'}`,
    `ordered   by ${block.ordererSignatures.map(marked).join(', ') || 'nobody: the first block is trusted as given'}`,
    ...block.transactions.flatMap(transactionLines),
  ];
}

function transactionLines(one: TransactionReport): string[] {
  const { keys } = one;
  return [
    '', `transaction ${one.txId}`, `  ${one.function === '' ? one.type : one.function}  ${one.code}`,
    `  by ${one.creatorSignature === undefined ? `${one.creator.mspId}, unsigned` : marked(one.creatorSignature)}${one.endorsements.length === 0 ? '' : `, endorsed by ${one.endorsements.map(marked).join(', ')}`}`,
    `  reads ${keys.reads} keys and ${keys.ranges} ranges, writes ${keys.writes}; privately ${keys.privateReads} and ${keys.privateWrites}`,
    ...one.writes.map((write) => `  ${write.value === null ? 'deletes' : 'writes'} ${write.namespace}/${write.key.replaceAll('\u0000', '~')} ${write.value === null ? '' : `${write.value.length} bytes`}`),
  ];
}
