import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toBase64url, utf8 } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import { generateSigningKey, signLowS } from './keys.ts';
import { signJson, verifySigned } from './signed-json.ts';
import { createAuthority } from './x509.ts';

const NOW = Date.UTC(2026, 10, 20);
const ca = await createAuthority({ org: 'UO-people', commonName: 'root', clock: { now: () => NOW } });
async function party() {
  const keys = await generateSigningKey();
  const certificate = await ca.issue({ commonName: 'p', organizationalUnit: 'client', attributes: {}, publicKey: keys.publicKey, notBefore: NOW, days: 30 });
  return { certificate, sign: (message: Uint8Array) => signLowS(keys.privateKey, message) };
}
const [owner, other] = [await party(), await party()];
const refused = expect.objectContaining({ code: 'SIGNATURE_INVALID' });

describe('signed JSON', () => {
  it('comes back as it was signed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ maxDepth: 3 }), async (value) => {
        const signed = await signJson(value as Json, owner);
        const verified = await verifySigned(signed);
        expect(verified.certificate).toBe(owner.certificate);
        expect(JSON.stringify(verified.value)).toBe(JSON.stringify(JSON.parse(signed.payload)));
      }),
      { numRuns: 30 },
    );
  });

  it('is refused with any other payload, signature or certificate', async () => {
    const signed = await signJson({ kind: 'grant', n: 1, text: 'ö' }, owner);
    const twin = await signJson({ kind: 'grant', n: 1, text: 'ö' }, other);
    const wrong = [
      { payload: signed.payload.replace('1', '2') }, { payload: ` ${signed.payload}` }, { payload: signed.payload.replace(',', ', ') }, { payload: signed.payload.replace('"ö"', '"\\u00f6"') }, { payload: signed.payload.replace('1', '1.0') },
      { payload: '{"n":1,"kind":"grant","text":"ö"}' }, { payload: signed.payload.replace('{', '{"n":1,') }, { payload: '' }, { payload: 'null' }, { payload: '{' },
      { signature: twin.signature }, { signature: '' }, { signature: `${signed.signature}A` }, { signature: '!' }, { certificate: other.certificate }, { certificate: ca.certificate }, { certificate: '' },
    ];
    for (const change of wrong) await expect(verifySigned({ ...signed, ...change }), JSON.stringify(change)).rejects.toThrow(refused);
    expect((await verifySigned(signed)).value).toEqual({ kind: 'grant', n: 1, text: 'ö' });
  });

  it('is refused even when well signed, if the text is not canonical', async () => {
    const payload = '{"b":1, "a":2}';
    const signature = toBase64url(await owner.sign(utf8(`healthkeep/v1/signed\0${payload}`)));
    await expect(verifySigned({ payload, signature, certificate: owner.certificate })).rejects.toThrow(refused);
  });

  it('does not take a signature made for something else: the domain is signed too', async () => {
    const payload = '{"a":1}';
    const signature = toBase64url(await owner.sign(utf8(payload)));
    await expect(verifySigned({ payload, signature, certificate: owner.certificate })).rejects.toThrow(refused);
  });
});
