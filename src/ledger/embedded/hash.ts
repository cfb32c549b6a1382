/** SHA-256 by OpenSSL, for the hot path. */
import { createHash, hash } from 'node:crypto';
import { concat } from '#base/bytes.ts';
import type { Hash } from '../transaction.ts';

/** 32 bytes over all parts, one after the other. */
export const nativeHash: Hash = (...parts) => {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return hash('sha256', only, 'buffer');
  // One call over a copy is cheaper than a digest object, for what is short.
  if (parts.reduce((length, part) => length + part.length, 0) < 16_384) return hash('sha256', concat(...parts), 'buffer');
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part);
  return digest.digest();
};
