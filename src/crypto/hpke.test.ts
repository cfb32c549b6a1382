import * as noble from '@panva/hpke-noble';
import fc from 'fast-check';
import * as library from 'hpke';
import { describe, expect, it } from 'vitest';
import { concat, utf8 } from '#base/bytes.ts';
import { ENVELOPE_OVERHEAD_BYTES, deriveHpkeKeyPair, firstWorking, generateHpkeKeyPair, hpkeSuites, openFrom, sealTo } from './hpke.ts';
import { aes256GcmFactory, hkdfSha256Factory } from './hpke-parts.ts';
import { nativeXWing } from './x-wing.ts';

const pair = await generateHpkeKeyPair();
const [info, aad, text] = [utf8('healthkeep/v1/release|grant|HO-east|research'), utf8('record id'), utf8('what is sealed')];
const seal = (more: Partial<Parameters<typeof sealTo>[0]> = {}) => sealTo({ recipientPublicKey: pair.publicKey, info, aad, plaintext: text, ...more });
const refused = expect.objectContaining({ code: 'ENVELOPE_REFUSED' });

describe('envelopes', () => {
  it('open to what was sealed, and are longer by a fixed number of bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 3_000 }), fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 60 }), async (plaintext, someInfo, someAad) => {
        const envelope = await seal({ plaintext, info: someInfo, aad: someAad });
        expect(envelope).toHaveLength(plaintext.length + ENVELOPE_OVERHEAD_BYTES);
        expect(await openFrom({ privateKey: pair.privateKey, info: someInfo, aad: someAad, envelope })).toEqual(new Uint8Array(plaintext));
      }),
      { numRuns: 30 },
    );
  });

  it('of one size class have one length whatever they hold, to the last byte that fits', async () => {
    const most = 2_048 - ENVELOPE_OVERHEAD_BYTES;
    for (const length of [0, 1, 500, most]) {
      const envelope = await seal({ plaintext: new Uint8Array(length).fill(7), envelopeBytes: 2_048 });
      expect(envelope).toHaveLength(2_048);
      expect(await openFrom({ privateKey: pair.privateKey, info, aad, envelope })).toEqual(new Uint8Array(length).fill(7));
    }
    await expect(seal({ plaintext: new Uint8Array(most + 1), envelopeBytes: 2_048 })).rejects.toThrow(expect.objectContaining({ code: 'ENVELOPE_TOO_SMALL' }));
    await expect(seal({ plaintext: new Uint8Array(0), envelopeBytes: 10 })).rejects.toThrow(expect.objectContaining({ code: 'ENVELOPE_TOO_SMALL' }));
  });

  it('of the same content are unrelated', async () => {
    const [first, second] = [await seal(), await seal()];
    const same = first.subarray(7).filter((byte, at) => byte === second[at + 7]).length;
    // About 1,150 random bytes agree in 4.5 places; more than 25 has probability below 1e-10.
    expect(same).toBeLessThanOrEqual(25);
  });

  it('refuse another key, purpose or record, and say nothing of which it was', async () => {
    const envelope = await seal();
    const other = await generateHpkeKeyPair();
    const words = new Set<string>();
    const attempts = [{ privateKey: other.privateKey }, { info: utf8('other') }, { info: new Uint8Array(0) }, { aad: utf8('other') }, { privateKey: new Uint8Array(31) }, { envelope: envelope.subarray(0, 1_000) }, { envelope: concat(envelope, Uint8Array.of(0)) }];
    for (const attempt of attempts) {
      const error: unknown = await openFrom({ privateKey: pair.privateKey, info, aad, envelope, ...attempt }).catch((caught: unknown) => caught);
      expect(error).toEqual(refused);
      words.add(JSON.stringify(error));
    }
    expect(words.size).toBe(1);
  });

  it('refuse every changed bit after the header, and the changed header itself', async () => {
    const envelope = await seal({ plaintext: utf8('x') });
    const changed = (bit: number) => Uint8Array.from(envelope, (byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
    for (let bit = 0; bit < 7 * 8; bit++) await expect(openFrom({ privateKey: pair.privateKey, info, aad, envelope: changed(bit) }), `bit ${bit}`).rejects.toThrow(expect.objectContaining({ code: 'ENVELOPE_SUITE' }));
    for (let bit = 7 * 8; bit < envelope.length * 8; bit += 7) await expect(openFrom({ privateKey: pair.privateKey, info, aad, envelope: changed(bit) }), `bit ${bit}`).rejects.toThrow(refused);
  });

  it('under an unreadable key are not made', async () => {
    for (const recipientPublicKey of [new Uint8Array(0), new Uint8Array(32), new Uint8Array(1_215), new Uint8Array(1_216).fill(255)]) {
      await expect(seal({ recipientPublicKey })).rejects.toThrow(expect.objectContaining({ code: 'KEY_INVALID' }));
    }
  });
});

describe('suites', () => {
  it('the default is a post-quantum hybrid, and classical ones are known only to be refused', async () => {
    expect(hpkeSuites[0]).toMatchObject({ kem: 0x647a, accepted: true });
    for (const { kem, kdf, aead } of hpkeSuites.filter((row) => !row.accepted)) {
      const header = Uint8Array.of(1, kem >> 8, kem & 255, kdf >> 8, kdf & 255, aead >> 8, aead & 255);
      await expect(openFrom({ privateKey: pair.privateKey, info, aad, envelope: concat(header, new Uint8Array(100)) })).rejects.toThrow(expect.objectContaining({ code: 'ENVELOPE_SUITE' }));
    }
    expect(hpkeSuites.filter((row) => row.accepted).map((row) => row.name)).toEqual(['MLKEM768-X25519, HKDF-SHA256, AES-256-GCM']);
  });

  it('an envelope whose suite was lowered to a classical one is refused', async () => {
    const envelope = await seal();
    envelope.set([0x00, 0x20], 1);
    await expect(openFrom({ privateKey: pair.privateKey, info, aad, envelope })).rejects.toThrow(expect.objectContaining({ code: 'ENVELOPE_SUITE' }));
  });
});

describe('key pairs', () => {
  it('come back from the same secret and differ for others', async () => {
    const [first, again, other] = await Promise.all([new Uint8Array(32), new Uint8Array(32), new Uint8Array(33)].map(deriveHpkeKeyPair));
    expect(first).toEqual(again);
    expect(first?.privateKey).not.toEqual(other?.privateKey);
    expect([first?.publicKey.length, first?.privateKey.length]).toEqual([1_216, 32]);
    await expect(deriveHpkeKeyPair(new Uint8Array(31))).rejects.toThrow(expect.objectContaining({ code: 'KEY_LENGTH' }));
  });
});

/** Every implementation that this room may use on some platform, against every other and with the library's own KDF and AEAD. */
describe('implementations', () => {
  const kems = [['noble', noble.KEM_MLKEM768_X25519], ['WebCrypto', library.KEM_MLKEM768_X25519], ...(nativeXWing === undefined ? [] : [['node:crypto', nativeXWing as unknown as library.KEMFactory]])] as [string, library.KEMFactory][];
  const pairs = kems.flatMap(([from, sender]) => kems.map(([to, recipient]) => [from, to, sender, recipient] as const));

  it.each(pairs)('%s seals, %s opens', async (_from, _to, sender, recipient) => {
    const sealing = new library.CipherSuite(sender, library.KDF_HKDF_SHA256, library.AEAD_AES_256_GCM);
    const opening = new library.CipherSuite(recipient, hkdfSha256Factory, aes256GcmFactory);
    const ikm = new Uint8Array(40).fill(3);
    const [theirs, ours] = [await sealing.DeriveKeyPair(ikm, true), await opening.DeriveKeyPair(ikm, true)];
    expect(await opening.SerializePublicKey(ours.publicKey)).toEqual(await sealing.SerializePublicKey(theirs.publicKey));
    const { encapsulatedSecret, ciphertext } = await sealing.Seal(theirs.publicKey, text, { info, aad });
    expect(await opening.Open(ours.privateKey, encapsulatedSecret, ciphertext, { info, aad })).toEqual(text);
    await expect(opening.Open(ours.privateKey, encapsulatedSecret, ciphertext, { info, aad: info })).rejects.toThrow();
  });

  it.each(['GenerateKeyPair', 'DeriveKeyPair', 'Encap', 'Decap', 'SerializePrivateKey', 'DeserializePublicKey'] as const)('one that lacks %s only is passed over', async (missing) => {
    const lacking = (() => ({
      ...noble.KEM_MLKEM768_X25519(), name: 'lacking',
      [missing]: async () => {
        throw new library.NotSupportedError('not here');
      },
    })) as library.KEMFactory;
    const chosen = await firstWorking([async () => lacking, async () => noble.KEM_MLKEM768_X25519]);
    expect(chosen?.KEM.name).toBe('MLKEM768-X25519');
    expect(await firstWorking([async () => lacking])).toBeUndefined();
  });
});
