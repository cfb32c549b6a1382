/**
 * HPKE envelopes (RFC 9180, base mode) that only the holder of a key can open, with a post-quantum hybrid KEM
 * (draft-ietf-hpke-pq): what is copied today must stay closed to the machines of tomorrow. Base mode says nothing about
 * the sender; the ledger's signatures do.
 *
 * Envelope = 0x01 ‖ KEM id ‖ KDF id ‖ AEAD id (2 bytes each) ‖ encapsulated key ‖ ciphertext. Inside: length (4 bytes) ‖
 * plaintext ‖ zeros, so that a size class hides the length.
 */
import * as hpke from 'hpke';
import { concat, type Bytes } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import { PAD_OVERHEAD_BYTES, padTo, unpad } from './aead.ts';
import { aes256GcmFactory, hkdfSha256Factory } from './hpke-parts.ts';
import { nativeXWing } from './x-wing.ts';

/** Serialised, as they are stored and sent. */
export interface HpkeKeyPair {
  readonly publicKey: Bytes;
  readonly privateKey: Bytes;
}

interface SuiteRow {
  readonly name: string;
  readonly kem: number;
  readonly kdf: number;
  readonly aead: number;
  /** A classical-only suite is never used and never opened, whoever made the envelope. */
  readonly accepted: boolean;
  /** Implementations that speak the same bytes, the fastest first; the first that this platform supports is taken. */
  readonly kems: readonly (() => Promise<hpke.KEMFactory>)[];
}

/** Loaded only where nothing faster is there: merely loading its curves costs a third of a second. */
const portableXWing = async (): Promise<hpke.KEMFactory> => (await import('@panva/hpke-noble')).KEM_MLKEM768_X25519;

/** The suites this version knows, the first is what it writes. New ones are added above; none is ever reused for another meaning. */
export const hpkeSuites: readonly SuiteRow[] = [
  { name: 'MLKEM768-X25519, HKDF-SHA256, AES-256-GCM', kem: 0x647a, kdf: 0x0001, aead: 0x0002, accepted: true, kems: [...(nativeXWing === undefined ? [] : [async () => nativeXWing as unknown as hpke.KEMFactory]), async () => hpke.KEM_MLKEM768_X25519, portableXWing] },
  { name: 'DHKEM(P-256), HKDF-SHA256, AES-256-GCM', kem: 0x0010, kdf: 0x0001, aead: 0x0002, accepted: false, kems: [] },
  { name: 'DHKEM(X25519), HKDF-SHA256, AES-256-GCM', kem: 0x0020, kdf: 0x0001, aead: 0x0002, accepted: false, kems: [] },
];

const VERSION = 0x01;
const HEADER_BYTES = 7;
const TAG_BYTES = 16;
const ENC_BYTES = 1_120;
/** What an envelope adds to its plaintext. */
export const ENVELOPE_OVERHEAD_BYTES = HEADER_BYTES + ENC_BYTES + TAG_BYTES + PAD_OVERHEAD_BYTES;

export async function generateHpkeKeyPair(): Promise<HpkeKeyPair> {
  const suite = await defaultSuite();
  return serialised(suite, await suite.GenerateKeyPair(true));
}

/** The same pair for the same secret (RFC 9180 section 7.1.3). `ikm` is at least 32 uniformly random bytes; throws KEY_LENGTH. */
export async function deriveHpkeKeyPair(ikm: Uint8Array): Promise<HpkeKeyPair> {
  if (ikm.length < 32) throw new CodedError('KEY_LENGTH', 'A key pair is derived from at least 32 bytes.', { length: ikm.length });
  const suite = await defaultSuite();
  return serialised(suite, await suite.DeriveKeyPair(ikm, true));
}

/**
 * Seals to a public key. `envelopeBytes` makes the envelope exactly that long. Throws ENVELOPE_TOO_SMALL when the
 * plaintext does not fit, KEY_INVALID for an unreadable public key.
 */
export async function sealTo(input: {
  readonly recipientPublicKey: Uint8Array;
  readonly info: Uint8Array;
  readonly aad: Uint8Array;
  readonly plaintext: Uint8Array;
  readonly envelopeBytes?: number;
}): Promise<Bytes> {
  const row = hpkeSuites[0] as SuiteRow;
  const suite = await defaultSuite();
  const innerBytes = (input.envelopeBytes ?? input.plaintext.length + ENVELOPE_OVERHEAD_BYTES) - ENVELOPE_OVERHEAD_BYTES + PAD_OVERHEAD_BYTES;
  if (innerBytes < input.plaintext.length + PAD_OVERHEAD_BYTES) {
    throw new CodedError('ENVELOPE_TOO_SMALL', 'The plaintext does not fit the envelope.', { plaintextBytes: input.plaintext.length, envelopeBytes: input.envelopeBytes });
  }
  let recipient: hpke.Key;
  try {
    recipient = await suite.DeserializePublicKey(input.recipientPublicKey);
  } catch (cause) {
    throw new CodedError('KEY_INVALID', 'The recipient key is not one of this suite.', { suite: row.name }, { cause });
  }
  const { encapsulatedSecret, ciphertext } = await suite.Seal(recipient, padTo(input.plaintext, innerBytes), { info: input.info, aad: input.aad });
  return concat(header(row), encapsulatedSecret, ciphertext);
}

/**
 * Opens an envelope. Throws ENVELOPE_SUITE for an unknown version or suite and for classical-only ones, ENVELOPE_REFUSED,
 * and nothing more, when key, info, aad or any bit differs.
 */
export async function openFrom(input: { readonly privateKey: Uint8Array; readonly info: Uint8Array; readonly aad: Uint8Array; readonly envelope: Uint8Array }): Promise<Bytes> {
  const row = suiteOf(input.envelope);
  try {
    const suite = await suiteFor(row);
    const privateKey = await suite.DeserializePrivateKey(input.privateKey);
    const enc = input.envelope.subarray(HEADER_BYTES, HEADER_BYTES + suite.KEM.Nenc);
    const ciphertext = input.envelope.subarray(HEADER_BYTES + suite.KEM.Nenc);
    return unpad(await suite.Open(privateKey, enc, ciphertext, { info: input.info, aad: input.aad }));
  } catch (error) {
    if (isCoded(error, 'ENVELOPE_SUITE')) throw error;
    throw new CodedError('ENVELOPE_REFUSED', 'The envelope could not be opened.');
  }
}

function header(row: SuiteRow): Bytes {
  return Uint8Array.of(VERSION, row.kem >> 8, row.kem & 0xff, row.kdf >> 8, row.kdf & 0xff, row.aead >> 8, row.aead & 0xff);
}

function suiteOf(envelope: Uint8Array): SuiteRow {
  const row = hpkeSuites.find((known) => header(known).every((byte, at) => byte === envelope[at]));
  if (row === undefined || !row.accepted) {
    throw new CodedError('ENVELOPE_SUITE', row === undefined ? 'The envelope names a version or suite this program does not know.' : 'The envelope uses a suite without post-quantum protection.', {
      ...(row === undefined ? {} : { suite: row.name }),
    });
  }
  return row;
}

const suites = new Map<number, Promise<hpke.CipherSuite>>();

function defaultSuite(): Promise<hpke.CipherSuite> {
  return suiteFor(hpkeSuites[0] as SuiteRow);
}

function suiteFor(row: SuiteRow): Promise<hpke.CipherSuite> {
  let suite = suites.get(row.kem);
  if (suite === undefined) {
    suite = supported(row);
    suites.set(row.kem, suite);
  }
  return suite;
}

async function supported(row: SuiteRow): Promise<hpke.CipherSuite> {
  const suite = await firstWorking(row.kems);
  if (suite === undefined) throw new CodedError('ENVELOPE_SUITE', 'This platform cannot compute the suite.', { suite: row.name });
  return suite;
}

/** The first KEM that does everything here; undefined when none does. Chromium 156 makes keys for the library's hybrid but has no SHAKE to derive them. */
export async function firstWorking(kems: SuiteRow['kems']): Promise<hpke.CipherSuite | undefined> {
  for (const load of kems) {
    try {
      const suite = new hpke.CipherSuite(await load(), hkdfSha256Factory, aes256GcmFactory);
      const pair = await serialised(suite, await suite.DeriveKeyPair(new Uint8Array(32), true));
      await suite.GenerateKeyPair(true);
      const { encapsulatedSecret, ciphertext } = await suite.Seal(await suite.DeserializePublicKey(pair.publicKey), new Uint8Array(1));
      await suite.Open(await suite.DeserializePrivateKey(pair.privateKey), encapsulatedSecret, ciphertext);
      return suite;
    } catch (error) {
      if (!(error instanceof hpke.NotSupportedError)) throw error;
    }
  }
  return undefined;
}

async function serialised(suite: hpke.CipherSuite, pair: hpke.KeyPair): Promise<HpkeKeyPair> {
  const [publicKey, privateKey] = await Promise.all([suite.SerializePublicKey(pair.publicKey), suite.SerializePrivateKey(pair.privateKey)]);
  return { publicKey: publicKey as Bytes, privateKey: privateKey as Bytes };
}
