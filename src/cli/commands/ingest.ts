/** `healthkeep ingest`: hands bundles to a hospital over its HTTP interface and says what became of every resource. */
import { createApiClient, type ApiClient } from '#api/client.ts';
import { hospitalEndpoints } from '#api/endpoints.ts';
import type { Json } from '#base/canonical-json.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import { errorRow } from '#model/errors.ts';
import { bundleFiles, type BundleFile } from '../bundles.ts';
import type { Command } from '../command.ts';
import { table } from '../output.ts';
import { pathOf, signerFor } from '../context.ts';
import { openWorld, parseOrg } from '../world.ts';

export const ingest: Command = {
  name: ['ingest'],
  summary: 'Hands FHIR R4 bundles to a hospital: they are validated, encrypted per record, stored and anchored.',
  arguments: [{ name: 'FILE…', summary: 'bundles (.json, .json.gz) or folders of them', many: true }],
  options: {
    folder: { type: 'string', value: 'DIR', summary: 'the network\'s folder', required: true },
    org: { type: 'string', value: 'ORG', summary: 'the hospital, such as HO-east', required: true },
  },
  examples: ['healthkeep ingest --folder demo --org HO-east bundle.json', 'healthkeep ingest --folder demo --org HO-west --json bundles/'],
  async run(context) {
    const org = parseOrg(context.options['org'], 'HO-east');
    const files = bundleFiles(context.words.map((word) => pathOf(context, word)));
    const world = await openWorld(pathOf(context, context.options['folder']));
    try {
      const hospital = createApiClient({ table: hospitalEndpoints, baseUrl: world.urlOf(org), fetch: world.fetch, sign: signerFor((await world.identity(org)).staff) });
      const rows: Row[] = [];
      for (const file of files) rows.push(await hand(hospital, file));
      const refused = rows.flatMap((row) => row.refused.map((one) => [`${row.file}${one.index < 0 ? '' : `#${one.index}`}`, one.code, one.reason]));
      const failed = rows.some((row) => row.refused.length > 0 && row.accepted + row.duplicates === 0);
      return {
        json: { files: rows.map(({ error: _, ...row }) => row) } as unknown as Json,
        text: [...table([['file', 'read', 'accepted', 'already held', 'refused'], ...rows.map((row) => [row.file, String(row.read), String(row.accepted), String(row.duplicates), String(row.refused.length)])]), ...(refused.length === 0 ? [] : ['', ...table(refused)])],
        // A file that is refused as a whole is an error like any other: what, why, what next.
        errors: rows.flatMap((row) => row.error ?? []),
        exit: failed ? 2 : 0,
      };
    } finally {
      await world.close();
    }
  },
};

interface Row {
  readonly file: string;
  readonly read: number;
  readonly accepted: number;
  readonly duplicates: number;
  /** Index -1: the file as a whole. */
  readonly refused: readonly { readonly index: number; readonly code: string; readonly reason: string }[];
  readonly error?: CodedError;
}

/** Refusals of the file as a whole are rows; what stops the command is thrown. */
async function hand(hospital: ApiClient<typeof hospitalEndpoints>, file: BundleFile): Promise<Row> {
  try {
    const answer = await hospital.ingest({ query: { file: file.name }, body: file.read(), contentType: file.name.endsWith('.gz') ? 'application/gzip' : 'application/fhir+json' });
    return { file: file.name, read: answer.read, accepted: answer.accepted, duplicates: answer.duplicates, refused: answer.refused.map(({ index, code, reason }) => ({ index, code, reason })) };
  } catch (error) {
    if (!isCoded(error) || errorRow(error.code).exit !== 2) throw error;
    const named = new CodedError(error.code, `${file.name}: ${error.message}`, { ...error.details, why: error.details.why ?? errorRow(error.code).sentence }, { cause: error });
    return { file: file.name, read: 0, accepted: 0, duplicates: 0, refused: [{ index: -1, code: error.code, reason: error.message }], error: named };
  }
}
