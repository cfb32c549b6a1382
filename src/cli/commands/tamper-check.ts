/** `healthkeep tamper-check`: every stored record against its anchor. */
import { createApiClient } from '#api/client.ts';
import { hospitalEndpoints } from '#api/endpoints.ts';
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { Command } from '../command.ts';
import { pathOf, signerFor } from '../context.ts';
import { openWorld, parseOrg } from '../world.ts';

export const tamperCheck: Command = {
  name: ['tamper-check'],
  summary: 'Compares every stored record of a hospital with its anchor on the channel and names what is changed, missing or extra.',
  options: {
    folder: { type: 'string', value: 'DIR', summary: 'the network\'s folder', required: true },
    org: { type: 'string', value: 'ORG', summary: 'the hospital, such as HO-east', required: true },
  },
  examples: ['healthkeep tamper-check --folder demo --org HO-east', 'healthkeep tamper-check --folder demo --org HO-east --json'],
  async run(context) {
    const org = parseOrg(context.options['org'], 'HO-east');
    const world = await openWorld(pathOf(context, context.options['folder']));
    try {
      const identity = await world.identity(org);
      const found = await createApiClient({ table: hospitalEndpoints, baseUrl: world.urlOf(org), fetch: world.fetch, sign: signerFor(identity.operator) }).tamperCheck({ body: {} });
      const kinds = ['changed', 'missing', 'extra'] as const;
      const clean = kinds.every((kind) => found[kind].length === 0);
      return {
        json: found as unknown as Json,
        text: [`${found.checked} records checked.`, ...(clean ? ['Every one is what was anchored; none is missing, none is extra.'] : kinds.flatMap((kind) => found[kind].map((id) => `${kind}  ${id}`)))],
        errors: clean ? [] : [new CodedError('TAMPERING_FOUND', 'The store is not what was anchored.', { why: kinds.filter((kind) => found[kind].length > 0).map((kind) => `${found[kind].length} ${kind}`).join(', ') + '.', next: 'Restore the records named from a backup, then check again.' })],
      };
    } finally {
      await world.close();
    }
  },
};
