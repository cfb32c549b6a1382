/** SHA-256 by the platform's WebCrypto: contracts import no crypto room. */
import { toBase64url } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import type { Digest } from '#model/ids.ts';

/** SHA-256 of the canonical JSON, as templates and members are voted on. */
export async function canonicalDigest(value: Json): Promise<Digest> {
  return toBase64url(new Uint8Array(await crypto.subtle.digest('SHA-256', canonicalBytes(value)))) as Digest;
}
