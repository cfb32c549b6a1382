/** JSON signed with a certificate's key. The signature covers a domain prefix and the exact canonical text, so it fits no other use of the key. */
import { concat, fromBase64url, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalJson, type Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { readCertificate } from './x509.ts';
import { verifyDer } from './keys.ts';

/** As `Signed` in model/messages.ts. */
export interface SignedJson {
  /** The canonical text that was signed. */
  readonly payload: string;
  /** Low-S DER as base64url. */
  readonly signature: string;
  /** The signer's certificate, PEM. */
  readonly certificate: string;
}

export interface JsonSigner {
  readonly certificate: string;
  /** Low-S DER over SHA-256 of the message. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

const DOMAIN = utf8('healthkeep/v1/signed\0');

export async function signJson(value: Json, signer: JsonSigner): Promise<SignedJson> {
  const payload = canonicalJson(value);
  const signature = await signer.sign(signedBytes(payload));
  return { payload, signature: toBase64url(signature), certificate: signer.certificate };
}

/**
 * The value, after signature and form were checked. Whether the certificate belongs to anybody the reader trusts is the
 * caller's question (`verifyChain`). Throws SIGNATURE_INVALID.
 */
export async function verifySigned(signed: SignedJson): Promise<{ readonly value: Json; readonly certificate: string }> {
  try {
    const value = JSON.parse(signed.payload) as Json;
    const canonical = canonicalJson(value) === signed.payload;
    const { spki } = readCertificate(signed.certificate);
    if (canonical && (await verifyDer(spki, signedBytes(signed.payload), fromBase64url(signed.signature)))) return { value, certificate: signed.certificate };
  } catch {
    // Whatever was unreadable, the answer is the same.
  }
  throw new CodedError('SIGNATURE_INVALID', 'The signature does not fit the signed content.');
}

function signedBytes(payload: string): Bytes {
  return concat(DOMAIN, utf8(payload));
}
