/** Features 16.5: take everything along. Records as received, grants, receipts and logs in the open; keys only sealed by a passphrase. */
import { fromBase64url, fromUtf8, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { z } from 'zod';
import { instant } from '#model/ids.ts';
import type { Context } from './context.ts';
import { openByPassphrase, sealByPassphrase } from './passphrase.ts';
import { receipts } from './receipts.ts';
import { eachOf } from './parallel.ts';
import { placedRecords, recordBytes } from './records.ts';
import { kept, logs, slots } from './state.ts';
import type { Change } from './vault.ts';

const AAD = utf8('healthkeep/v1/export');

const ExportFile = z
  .strictObject({
    kind: z.literal('healthkeep-export'),
    version: z.literal(1),
    exportedAt: z.string(),
    /** Received bytes, unchanged. */
    records: z.array(z.strictObject({ id: z.string(), keeper: z.string(), resourceType: z.string(), digest: z.string(), body: z.string() })),
    grants: z.array(z.unknown()),
    receipts: z.array(z.unknown()),
    accessLogs: z.array(z.unknown()),
    /** The whole state with its keys, under the passphrase; absent without one. */
    state: z.string().optional(),
  })
  .readonly();

const State = z.strictObject({ root: z.string(), entries: z.array(z.tuple([z.string(), z.string(), z.string()])) });

/** UTF-8 JSON. Fetches the bodies that are not on the device yet; with a passphrase the file restores a whole device. */
export async function exportAll(context: Context, passphrase?: string): Promise<Bytes> {
  const records = await eachOf(await placedRecords(context), async (placed) => {
    const { id, resourceType, digest } = placed.held.row;
    return { id, keeper: placed.keeper, resourceType, digest, body: toBase64url(await recordBytes(context, placed)) };
  });
  const grants = (await context.vault.all(slots)).flatMap(([, { answer }]) => (answer?.parts ?? []).map(({ grant }) => grant));
  const file = {
    kind: 'healthkeep-export', version: 1, exportedAt: instant(context.clock.now()), records, grants,
    receipts: await receipts(context),
    accessLogs: (await context.vault.all(logs)).map(([, log]) => log),
    ...(passphrase === undefined ? {} : { state: toBase64url(await sealedState(context, passphrase)) }),
  };
  return canonicalBytes(file as unknown as Json);
}

async function sealedState(context: Context, passphrase: string): Promise<Bytes> {
  const entries = (await context.vault.dump(kept)).map(({ collection, id, content }) => [collection, id, toBase64url(content ?? new Uint8Array(0))]);
  return sealByPassphrase({ passphrase, plaintext: canonicalBytes({ root: toBase64url(context.keys.root), entries }), aad: AAD, random: context.random });
}

export interface ImportedState {
  readonly root: Bytes;
  readonly changes: readonly Change[];
}

/** The root secret and state of an export. Throws EXPORT_INVALID, EXPORT_WITHOUT_KEYS, PASSPHRASE_WRONG. */
export async function readExport(bytes: Uint8Array, passphrase: string): Promise<ImportedState> {
  const file = parseFile(bytes);
  if (file.state === undefined) throw new CodedError('EXPORT_WITHOUT_KEYS', 'This export has no keys and cannot restore a device.', { next: 'Export with a passphrase.' });
  const state = State.parse(JSON.parse(fromUtf8(await openByPassphrase({ passphrase, sealed: fromBase64url(file.state), aad: AAD }))));
  return { root: fromBase64url(state.root), changes: state.entries.map(([collection, id, content]) => ({ collection, id, content: fromBase64url(content) })) };
}

function parseFile(bytes: Uint8Array): z.infer<typeof ExportFile> {
  try {
    return ExportFile.parse(JSON.parse(fromUtf8(bytes)));
  } catch (cause) {
    throw new CodedError('EXPORT_INVALID', 'The file is not an export of healthkeep.', { next: 'Choose the file that was exported.' }, { cause });
  }
}
