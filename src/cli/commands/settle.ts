/** `healthkeep settle`: settles receipts on DRC and prints the statement. */
import { createApiClient } from '#api/client.ts';
import { dataUserEndpoints } from '#api/endpoints.ts';
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { Command } from '../command.ts';
import { pathOf, signerFor } from '../context.ts';
import { table } from '../output.ts';
import { openWorld, parseOrg } from '../world.ts';

export const settle: Command = {
  name: ['settle'],
  summary: 'Settles every unsettled receipt of a data user and prints the statement, or prints an earlier one.',
  options: {
    folder: { type: 'string', value: 'DIR', summary: 'the network\'s folder', required: true },
    org: { type: 'string', value: 'ORG', summary: 'the data user, such as DUO-sunrise', required: true },
    number: { type: 'string', value: 'N', summary: 'print this statement instead' },
  },
  examples: ['healthkeep settle --folder demo --org DUO-sunrise', 'healthkeep settle --folder demo --org DUO-sunrise --number 1 --json'],
  async run(context) {
    const org = parseOrg(context.options['org'], 'DUO-sunrise');
    const number = context.options['number'] === undefined ? undefined : Number(context.options['number']);
    if (number !== undefined && (!Number.isInteger(number) || number < 1)) throw new CodedError('USAGE_OPTION', '--number needs a whole number from 1.', { why: `"${String(context.options['number'])}" is not one.`, next: 'Statements count from 1.' });
    const world = await openWorld(pathOf(context, context.options['folder']));
    try {
      const api = createApiClient({ table: dataUserEndpoints, baseUrl: world.urlOf(org), fetch: world.fetch, sign: signerFor((await world.identity(org)).staff) });
      const statement = number === undefined ? await api.settle({ body: {} }) : await api.statement({ params: { number } });
      return {
        json: statement as unknown as Json,
        text: [`Statement ${statement.number} of ${statement.duo}: ${statement.total} cents ${statement.currency}`, ...table([['slot', 'items', 'amount', 'owner', 'operator', 'keepers'], ...statement.lines.map((line) => [line.slot, String(line.items), line.amount, line.owner, line.operator, line.keepers.map((keeper) => `${keeper.org} ${keeper.amount}`).join(', ')])])],
      };
    } finally {
      await world.close();
    }
  },
};
