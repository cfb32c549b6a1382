/** The file that proves that two histories of one channel were told: two signed notes that cannot both be true. */
import { z } from 'zod';
import { Digest, OrgId } from './ids.ts';
import { Certificate } from './messages.ts';

/** A checkpoint note with its signature lines; as long as those of a hundred members. */
export const Note = z.string().max(128_000);

/** The root of a tree's first leaves, with the RFC 9162 consistency path from it to the root of a longer tree. */
export const TreeBeginning = z.strictObject({ root: Digest, path: z.array(Digest).max(64).readonly() }).readonly();
export type TreeBeginning = z.infer<typeof TreeBeginning>;

export const ForkEvidence = z
  .strictObject({
    kind: z.literal('healthkeep-fork'),
    version: z.literal(1),
    /** The shorter one first. */
    notes: z.array(Note).length(2).readonly(),
    /** Of the longer note's tree at the shorter one's size; null where the notes alone contradict each other. */
    beginning: TreeBeginning.nullable(),
    /** All members, with the roots by which signatures are checked: the verifier holds the list against the pinned one. */
    members: z.array(z.strictObject({ org: OrgId, rootCertificate: Certificate }).readonly()).readonly(),
  })
  .readonly();
export type ForkEvidence = z.infer<typeof ForkEvidence>;
