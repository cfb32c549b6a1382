/** A ledger identity whose key is a WebCrypto handle; the same in a browser and in Node. */
import type { LedgerSigner } from './client.ts';
import { derFromRaw } from './low-s.ts';

export interface SignerParts {
  readonly mspId: string;
  /** PEM. */
  readonly certificate: string;
  /** P-256, usage `sign`; need not be extractable. */
  readonly privateKey: CryptoKey;
}

/** Signs with SHA-256 and gives DER with low S. */
export function createSigner({ mspId, certificate, privateKey }: SignerParts): LedgerSigner {
  return {
    mspId,
    certificate,
    async sign(message) {
      const raw = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, message as Uint8Array<ArrayBuffer>);
      return derFromRaw(new Uint8Array(raw));
    },
  };
}
