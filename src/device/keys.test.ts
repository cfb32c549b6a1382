import { describe, expect, it } from 'vitest';
import { concat, toBase64url, u64, utf8 } from '#base/bytes.ts';
import { hkdfSha256, hmacSha256 } from '#crypto/digest.ts';
import { OrgId } from '#model/ids.ts';
import { seededRandom } from '#sim/seams.ts';
import { deviceKeys, openRoot, randomBelow, shuffled } from './keys.ts';
import { memoryStore } from './memory-store.test-kit.ts';
import { openByPassphrase, passphraseKey, passphraseUnlock, sealByPassphrase } from './passphrase.ts';

const random = seededRandom('keys');
const root = new Uint8Array(32).fill(5);
const EAST = OrgId.parse('HO-east');
const WEST = OrgId.parse('HO-west');

describe('what grows from the root secret', () => {
  it('is what docs/protocol.md says', () => {
    const keys = deviceKeys(root);
    const pairwise = hkdfSha256(root, utf8('healthkeep/v1/pairwise'), 32);
    expect(keys.pairwiseId(EAST)).toBe(toBase64url(hmacSha256(pairwise, concat(utf8('healthkeep/v1/pairwise'), utf8(EAST))).subarray(0, 16)));
    const epoch = hkdfSha256(hkdfSha256(root, utf8('healthkeep/v1/index'), 32), concat(utf8('epoch'), new Uint8Array([0, 0, 0, 3])), 32);
    expect(keys.indexTag({ epoch: 3, n: 7 })).toBe(toBase64url(hmacSha256(epoch, concat(utf8('healthkeep/v1/uic-tag'), u64(7)))));
    expect(keys.indexKey({ epoch: 3, n: 7 })).toEqual(hmacSha256(epoch, concat(utf8('healthkeep/v1/uic-key'), u64(7))));
  });

  it('gives another name at every keeper, and the same one always', () => {
    expect(deviceKeys(root).pairwiseId(EAST)).toBe(deviceKeys(root.slice()).pairwiseId(EAST));
    expect(deviceKeys(root).pairwiseId(EAST)).not.toBe(deviceKeys(root).pairwiseId(WEST));
    expect(deviceKeys(root).pairwiseId(EAST)).not.toBe(deviceKeys(new Uint8Array(32).fill(6)).pairwiseId(EAST));
  });

  it('gives the same HPKE key pair for the same label only', async () => {
    const keys = deviceKeys(root);
    const [one, again, other] = await Promise.all([keys.hpke('slot/a'), keys.hpke('slot/a'), keys.hpke('slot/b')]);
    expect(one).toEqual(again);
    expect(one.publicKey).not.toEqual(other.publicKey);
  });
});

describe('the wrapped root secret', () => {
  it('opens with its key only', async () => {
    const store = memoryStore();
    const unlockKey = random.bytes(32);
    const made = await openRoot({ store, unlockKey, random });
    expect(await openRoot({ store, unlockKey, random })).toEqual(made);
    await expect(openRoot({ store, unlockKey: random.bytes(32), random })).rejects.toMatchObject({ code: 'DEVICE_LOCKED' });
    expect(toBase64url((await store.get('root')) ?? new Uint8Array(0))).not.toContain(toBase64url(made).slice(0, 20));
  });

  it('opens with a key that stays with its holder', async () => {
    const store = memoryStore();
    const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
    const iv = random.bytes(12);
    const unlockKey = {
      wrap: async (secret: Uint8Array<ArrayBuffer>) => new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, secret)),
      unwrap: async (wrapped: Uint8Array<ArrayBuffer>) => new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, wrapped)),
    };
    const made = await openRoot({ store, unlockKey, random });
    expect(await openRoot({ store, unlockKey, random })).toEqual(made);
    await expect(openRoot({ store, unlockKey: random.bytes(32), random })).rejects.toMatchObject({ code: 'DEVICE_LOCKED' });
  });
});

describe('passphrases', () => {
  it('give PBKDF2-HMAC-SHA-256 keys, whatever the Unicode form they are typed in', async () => {
    const salt = utf8('healthkeep-salt!');
    // Computed with OpenSSL: kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt pass:passphrase -kdfopt salt:healthkeep-salt! -kdfopt iter:600000 PBKDF2
    expect(toBase64url(await passphraseKey('passphrase', salt))).toBe('s8MD2Mmg3Si3Z4NxOevwmj89FLOnvmHk7K74yBRe4Uk');
    expect(await passphraseKey('cafe\u0301', salt)).toEqual(await passphraseKey('caf\u00e9', salt));
  });

  it('unlock the same store the same way', async () => {
    const store = memoryStore();
    const unlock = await passphraseUnlock({ store, random, passphrase: 'one two three' });
    expect(await passphraseUnlock({ store, random, passphrase: 'one two three' })).toEqual(unlock);
    expect(await passphraseUnlock({ store, random, passphrase: 'one two four' })).not.toEqual(unlock);
  });

  it('open what they sealed and nothing else', async () => {
    const aad = utf8('test');
    const sealed = await sealByPassphrase({ passphrase: 'right', plaintext: utf8('content'), aad, random });
    expect(await openByPassphrase({ passphrase: 'right', sealed, aad })).toEqual(utf8('content'));
    await expect(openByPassphrase({ passphrase: 'wrong', sealed, aad })).rejects.toMatchObject({ code: 'PASSPHRASE_WRONG' });
    await expect(openByPassphrase({ passphrase: 'right', sealed: sealed.slice(0, 10), aad })).rejects.toMatchObject({ code: 'PASSPHRASE_WRONG' });
  });
});

describe('chance', () => {
  it('shuffles without losing or doubling, and not into the same order', () => {
    const values = Array.from({ length: 50 }, (_, at) => at);
    const mixed = shuffled(random, values);
    expect([...mixed].sort((left, right) => left - right)).toEqual(values);
    expect(mixed).not.toEqual(values);
  });

  it('reaches every number below the bound and none beyond', () => {
    const seen = new Set(Array.from({ length: 500 }, () => randomBelow(random, 7)));
    expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });
});
