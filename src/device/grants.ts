/** C4: one signed grant per keeper, and the commitment over all of them that the answer on DRC carries (docs/protocol.md section 4.3). */
import { fromBase64url, toBase64url, utf8 } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import { saltedDigest, saltedList } from '#crypto/commitment.ts';
import { sha256 } from '#crypto/digest.ts';
import { signJson } from '#crypto/signed-json.ts';
import { Digest, GrantId, type Instant, type OrgId, type SubjectId } from '#model/ids.ts';
import { Signed, type Grant, type GrantOpening } from '#model/messages.ts';
import type { ReleaseOrder } from '#model/hdc.ts';
import type { Context } from './context.ts';
import { randomId } from './keys.ts';
import { links, type Part, type Request, type Slot } from './state.ts';
import { signerOf } from './signing.ts';
import type { Placed } from './records.ts';
import { notKnown } from './context.ts';

export interface GrantTerms {
  readonly slot: Slot['slot'];
  readonly duo: OrgId;
  readonly request: Request & { readonly invitation: NonNullable<Request['invitation']> };
  readonly chosen: readonly Placed[];
  readonly issuedAt: Instant;
  readonly until: Instant;
  readonly eraseAt: Instant;
}

export interface Grants {
  readonly parts: readonly Part[];
  readonly opening: GrantOpening;
  readonly commitment: Digest;
  readonly recipientKeyDigest: Digest;
}

/** Makes and signs the grants, ordered by keeper (and subject, where a keeper knows the owner as several). */
export async function makeGrants(context: Context, terms: GrantTerms): Promise<Grants> {
  const recipientKeyDigest = Digest.parse(toBase64url(sha256(fromBase64url(terms.request.invitation.recipientPublicKey))));
  const groups = Map.groupBy(terms.chosen, ({ keeper, subject }) => `${keeper}\n${subject}`);
  const parts: Part[] = [];
  for (const key of [...groups.keys()].sort()) parts.push(await makePart(context, { terms, recipientKeyDigest, items: groups.get(key) as readonly Placed[] }));
  const salt = Digest.parse(randomId(context.random, 32));
  const digests = parts.map(({ order }) => order.grantDigest);
  const commitment = Digest.parse(toBase64url(saltedList(fromBase64url(salt), digests)));
  return { parts, opening: { salt, digests }, commitment, recipientKeyDigest };
}

interface PartTerms {
  readonly terms: GrantTerms;
  readonly recipientKeyDigest: Digest;
  readonly items: readonly Placed[];
}

async function makePart(context: Context, { terms, recipientKeyDigest, items }: PartTerms): Promise<Part> {
  const { keeper, subject } = items[0] as { keeper: OrgId; subject: SubjectId };
  const link = await context.vault.get(links, keeper);
  if (link === undefined) throw notKnown('link', keeper);
  const { slot, duo, request, issuedAt, until, eraseAt } = terms;
  const grant: Grant = {
    kind: 'grant', id: GrantId.parse(randomId(context.random, 16)), keeper, owner: link.pairwiseId, subject, slot, recipient: duo, recipientKeyDigest,
    recipientPublicKey: request.invitation.recipientPublicKey, purpose: request.template.purpose, template: request.ref,
    items: items.map(({ held }) => held.row.id).sort(), issuedAt, until, eraseAt, salt: Digest.parse(randomId(context.random, 32)),
  };
  const signed = Signed.parse(await signJson(grant as Json, await signerOf(link.identity)));
  const order: ReleaseOrder = {
    grant: grant.id, grantDigest: Digest.parse(toBase64url(saltedDigest(fromBase64url(grant.salt), utf8(signed.payload)))), subject,
    items: grant.items, recipient: duo, recipientKeyDigest, purpose: grant.purpose, until, eraseAt, slot,
  };
  return { keeper, grant: signed, order, ticket: Digest.parse(randomId(context.random, 32)), state: 'waiting', revokedOnChannel: false, revokedAtKeeper: false };
}
