/** A peer: an organisation's key that endorses. The embedded ledger holds the keys of the peers it endorses for. */
import { serialiseIdentity } from '../transaction.ts';
import { createPrivateKey, sign } from 'node:crypto';
import { withLowS } from '../low-s.ts';
import { createNativeSigner, type NativeSignerParts } from './native-signer.ts';

export interface Peer {
  readonly mspId: string;
  readonly certificate: string;
  /** `SerializedIdentity` bytes. */
  readonly serialised: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
  /** At once, for what everything else waits for: a block's signature. */
  signNow(message: Uint8Array): Uint8Array;
}

export function createPeer(parts: NativeSignerParts): Peer {
  const signer = createNativeSigner(parts);
  const key = createPrivateKey({ key: Buffer.from(parts.privateKeyPkcs8), format: 'der', type: 'pkcs8' });
  return { mspId: parts.mspId, certificate: parts.certificate, serialised: serialiseIdentity(parts.mspId, parts.certificate), sign: signer.sign, signNow: (message) => withLowS(sign('sha256', message, key)) };
}
