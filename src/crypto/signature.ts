/**
 * Forms of a P-256 ECDSA signature. DER (RFC 3279 section 2.2.3) with low S is what Fabric's MSP accepts and what travels
 * in healthkeep; r ‖ s (IEEE P1363) is what WebCrypto and RFC 9421 speak. (r, s) and (r, n − s) both verify, so exactly
 * one of them, the one with s <= n/2, is accepted: nobody can make a second signature out of a first.
 */
import { compareBytes, fromHex, type Bytes } from '#base/bytes.ts';

const ORDER = fromHex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
const HALF_ORDER = fromHex('7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8');
const ZERO = new Uint8Array(32);

/** The low-S form of a DER signature. */
export function lowS(der: Bytes): Bytes {
  const rs = rsOf(der);
  if (rs === undefined || compareBytes(rs.subarray(32), HALF_ORDER) <= 0) return der;
  let borrow = 0;
  for (let at = 31; at >= 0; at--) {
    const difference = (ORDER[at] as number) - (rs[32 + at] as number) - borrow;
    borrow = difference < 0 ? 1 : 0;
    rs[32 + at] = difference & 0xff;
  }
  return derOf(rs);
}

/** True for the one DER form with 0 < r < n and 0 < s <= n/2. */
export function isLowS(der: Uint8Array): boolean {
  const rs = rsOf(der);
  if (rs === undefined) return false;
  const [r, s] = [rs.subarray(0, 32), rs.subarray(32)];
  return compareBytes(r, ZERO) > 0 && compareBytes(r, ORDER) < 0 && compareBytes(s, ZERO) > 0 && compareBytes(s, HALF_ORDER) <= 0;
}

/** DER of r ‖ s. */
export function derOf(rs: Uint8Array): Bytes {
  const r = unsignedInteger(rs.subarray(0, 32));
  const s = unsignedInteger(rs.subarray(32));
  const out = new Uint8Array(6 + r.length + s.length);
  out.set([0x30, 4 + r.length + s.length, 0x02, r.length]);
  out.set(r, 4);
  out.set([0x02, s.length], 4 + r.length);
  out.set(s, 6 + r.length);
  return out;
}

/** r ‖ s of a DER signature; undefined unless the bytes are the one DER form there is for these numbers. */
export function rsOf(der: Uint8Array): Bytes | undefined {
  const rLength = der[3] ?? 0;
  const sLength = der[5 + rLength] ?? 0;
  if (der.length !== 6 + rLength + sLength || rLength > 33 || sLength > 33 || rLength === 0 || sLength === 0) return undefined;
  const rs = new Uint8Array(64);
  const r = der.subarray(4, 4 + rLength);
  const s = der.subarray(6 + rLength);
  rs.set(r.subarray(Math.max(0, rLength - 32)), 32 - Math.min(32, rLength));
  rs.set(s.subarray(Math.max(0, sLength - 32)), 64 - Math.min(32, sLength));
  return compareBytes(derOf(rs), der) === 0 ? rs : undefined;
}

/** Content of a DER INTEGER: no leading zeros but the one that keeps it positive. */
function unsignedInteger(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  if ((bytes[start] as number) < 0x80) return bytes.subarray(start);
  const out = new Uint8Array(bytes.length - start + 1);
  out.set(bytes.subarray(start), 1);
  return out;
}
