/** ECDSA P-256 signatures in the one form that Fabric's MSP accepts: DER, and S in the lower half of the order. */
import { derElements, derOne, derTag, derUnsigned, derWrite } from './der.ts';
import { fromHex, type Bytes } from '#base/bytes.ts';

/** Order of P-256 (NIST SP 800-186, section 3.2.1.3). */
const N = fromHex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
/** Half of it, rounded down. */
const HALF_N = fromHex('7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8');

/** True when 32-byte big-endian S is above half the order. */
function isHigh(s: Uint8Array): boolean {
  for (let at = 0; at < 32; at++) {
    const difference = (s[at] as number) - (HALF_N[at] as number);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

function fixed32(unsigned: Uint8Array): Uint8Array | undefined {
  let start = 0;
  while (start < unsigned.length - 1 && unsigned[start] === 0) start++;
  if (unsigned.length - start > 32) return undefined;
  const out = new Uint8Array(32);
  out.set(unsigned.subarray(start), 32 - (unsigned.length - start));
  return out;
}

/** N - s, digit by digit. */
function lower(s: Uint8Array): Uint8Array {
  if (!isHigh(s)) return s;
  const out = new Uint8Array(32);
  let borrow = 0;
  for (let at = 31; at >= 0; at--) {
    const digit = (N[at] as number) - (s[at] as number) - borrow;
    borrow = digit < 0 ? 1 : 0;
    out[at] = digit & 0xff;
  }
  return out;
}

/** DER with low S from WebCrypto's 64-byte `r ‖ s`. */
export function derFromRaw(raw: Uint8Array): Bytes {
  return derWrite(derTag.sequence, derUnsigned(raw.subarray(0, 32)), derUnsigned(lower(raw.subarray(32, 64))));
}

/** The two integers of a DER signature as 32 bytes each, or undefined when it is no such signature. */
export function rawFromDer(der: Uint8Array): { readonly r: Uint8Array; readonly s: Uint8Array } | undefined {
  try {
    const [first, second, ...rest] = derElements(derOne(der, derTag.sequence).content);
    if (first?.tag !== derTag.integer || second?.tag !== derTag.integer || rest.length > 0) return undefined;
    const r = fixed32(first.content);
    const s = fixed32(second.content);
    return r === undefined || s === undefined ? undefined : { r, s };
  } catch {
    return undefined;
  }
}

/** True for a well-formed signature with low S. */
export function isLowS(der: Uint8Array): boolean {
  const raw = rawFromDer(der);
  return raw !== undefined && !isHigh(raw.s);
}

/** The same signature with low S. */
export function withLowS(der: Uint8Array): Uint8Array {
  const raw = rawFromDer(der);
  if (raw === undefined || !isHigh(raw.s)) return der;
  return derWrite(derTag.sequence, derUnsigned(raw.r), derUnsigned(lower(raw.s)));
}
