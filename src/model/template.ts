/** Request templates: what a data user may ask for, in whose name, for what, at what price. Versioned; a change is a new version. */
import { z } from 'zod';
import { Digest, Instant, OrgId, TemplateId } from './ids.ts';

/** Integer minor units (cents) as decimal text, so that no amount is ever a float. */
export const Amount = z.string().regex(/^(0|[1-9]\d{0,14})$/);
export type Amount = z.infer<typeof Amount>;

export const Purpose = z.enum(['treatment', 'research', 'underwriting', 'claims', 'public-health']);
export type Purpose = z.infer<typeof Purpose>;

/** One thing asked for. A record matches when its type is equal and, if codes are given, one of its codes is among them. */
export const TemplateSelection = z
  .strictObject({
    resourceType: z.string().regex(/^[A-Z][A-Za-z]{2,40}$/),
    /** `system|code`; empty: every code. */
    codes: z.array(z.string().max(200)).max(100).readonly(),
    /** Earliest effective date (YYYY-MM-DD), inclusive; absent: no bound. Records without a date do not match a bound. */
    since: z.string().regex(/^\d{4}-\d{2}-\d{2}$/).optional(),
    /** Only the newest n per selection; absent: all. */
    latest: z.int().min(1).max(10_000).optional(),
  })
  .readonly();
export type TemplateSelection = z.infer<typeof TemplateSelection>;

/** Shares of the price in basis points; they add up to 10,000. */
export const PriceSplit = z
  .strictObject({ owner: z.int().min(0).max(10_000), keepers: z.int().min(0).max(10_000), operator: z.int().min(0).max(10_000) })
  .readonly()
  .refine((split) => split.owner + split.keepers + split.operator === 10_000, 'shares must add up to 10,000 basis points')
  // A schema cannot say the sum; the example that the interface descriptions show must still hold it.
  .meta({ examples: [{ owner: 7_000, keepers: 2_500, operator: 500 }] });

export const RequestTemplate = z
  .strictObject({
    id: TemplateId,
    version: z.int().min(1).max(9_999),
    requester: OrgId,
    title: z.string().min(3).max(120),
    purpose: Purpose,
    /** What the person reads; from the template, never from the data user's message. */
    why: z.string().min(10).max(300),
    ifRefused: z.string().min(10).max(300),
    legalBasis: z.string().min(3).max(120),
    /** Ethics or compliance approval: an invitation after `until` is refused. */
    approval: z.strictObject({ issuer: z.string().min(2).max(120), documentDigest: Digest, until: Instant }).readonly(),
    select: z.array(TemplateSelection).min(1).max(50).readonly(),
    /** Days after delivery by which the data user must erase. */
    retentionDays: z.int().min(1).max(3_650),
    price: z.strictObject({ currency: z.string().regex(/^[A-Z]{3}$/), perItem: Amount, perAnswer: Amount, split: PriceSplit }).readonly(),
  })
  .readonly();
export type RequestTemplate = z.infer<typeof RequestTemplate>;

/** A reference that pins the exact text: the digest is SHA-256 over the template's canonical JSON. */
export const TemplateRef = z.strictObject({ id: TemplateId, version: z.int().min(1), digest: Digest }).readonly();
export type TemplateRef = z.infer<typeof TemplateRef>;
