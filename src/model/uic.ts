/** UIC, the user index channel: inputs and state. Only people write; each entry under its own one-time certificate. */
import { z } from 'zod';
import { IndexTag, Instant, sealed } from './ids.ts';
import { INDEX_ENTRY_BYTES } from './messages.ts';
import { moveInputs } from './move.ts';

export const SealedIndexEntry = sealed(INDEX_ENTRY_BYTES);

export const uicInputs = {
  /** A8. Refused when the tag exists or the certificate has written before (a second entry would link the two). */
  putEntry: z.strictObject({ tag: IndexTag, sealed: SealedIndexEntry }).readonly(),
  getEntry: z.strictObject({ tag: IndexTag }).readonly(),
  /** The whole index page by page: a device that reads everything tells nobody which entries are its own. */
  listEntries: z.strictObject({ bookmark: z.string().max(400), pageSize: z.int().min(1).max(1_000) }).readonly(),
  setTimeFloor: z.strictObject({ at: Instant }).readonly(),
  ...moveInputs,
} as const;

/** State under composite key (`entry`, tag). */
export const IndexEntryState = z.strictObject({ sealed: SealedIndexEntry }).readonly();
export type IndexEntryState = z.infer<typeof IndexEntryState>;
export const IndexPage = z.strictObject({ entries: z.array(z.strictObject({ tag: IndexTag, sealed: SealedIndexEntry }).readonly()).readonly(), bookmark: z.string() }).readonly();
