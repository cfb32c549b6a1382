import { describe, expect, it } from 'vitest';
import { fromBase64url, toBase64url, utf8 } from '#base/bytes.ts';
import { sha256 } from './digest.ts';
import { CREATED_TOLERANCE_SECONDS, signMailboxRequest, signRequest, verifyMailboxRequest, verifyRequest } from './http-signature.ts';
import { generateSigningKey, signLowS, spki } from './keys.ts';
import { createAuthority, readCertificate } from './x509.ts';

const NOW = Date.UTC(2026, 10, 20, 12);
const clock = { now: () => NOW };
const random = { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) };
const ca = await createAuthority({ org: 'HO-east', commonName: 'root', clock });

async function party() {
  const keys = await generateSigningKey();
  const certificate = await ca.issue({ commonName: 'system', organizationalUnit: 'client', attributes: {}, publicKey: keys.publicKey, notBefore: NOW, days: 30 });
  return { certificate, publicKey: await spki(keys.publicKey), sign: (message: Uint8Array) => signLowS(keys.privateKey, message), clock, random };
}
const [east, other] = [await party(), await party()];

const URL = 'https://ho-east.example/v1/releases?x=1&y=%20z';
const BODY = utf8('{"a":1}');
const post = () => new Request(URL, { method: 'POST', body: BODY, headers: { 'content-type': 'application/json' } });
const signed = await signRequest(post(), east);
const bodyless = await signRequest(new Request(URL), east);

/** The same request with some headers or its address changed. */
function changed(request: Request, change: { readonly headers?: Record<string, string | undefined>; readonly url?: string; readonly method?: string }): Request {
  const headers = new Headers(request.headers);
  for (const [name, value] of Object.entries(change.headers ?? {})) if (value === undefined) headers.delete(name);
    else headers.set(name, value);
  return new Request(change.url ?? request.url, { method: change.method ?? request.method, headers });
}

const code = async (work: Promise<unknown>): Promise<string> => work.then(() => 'verified', (error: { readonly code: string }) => error.code);
const header = (name: string, request = signed): string => request.headers.get(name) as string;

describe('a signed request', () => {
  it('tells its caller, its nonce and when it was made; body and other headers are untouched', async () => {
    const { certificate, nonce, created } = await verifyRequest(signed, BODY, { clock });
    expect([certificate, created]).toEqual([east.certificate, NOW / 1_000]);
    expect(nonce).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(new Uint8Array(await signed.clone().arrayBuffer())).toEqual(BODY);
    expect([signed.method, signed.url, signed.headers.get('content-type')]).toEqual(['POST', URL, 'application/json']);
    expect((await verifyRequest(await signRequest(post(), east), BODY, { clock })).nonce).not.toBe(nonce);
  });

  it('is RFC 9421 to the letter', () => {
    expect(header('content-digest')).toBe(`sha-256=:${Buffer.from(sha256(BODY)).toString('base64')}:`);
    expect(header('signature-input')).toBe(
      `healthkeep=("@method" "@target-uri" "content-digest");created=${NOW / 1_000};nonce="${header('signature-input').match(/nonce="([^"]+)"/)?.[1]}";alg="ecdsa-p256-sha256";keyid="${toBase64url(readCertificate(east.certificate).fingerprint)}"`,
    );
    expect(Buffer.from(header('signature').slice('healthkeep=:'.length, -1), 'base64')).toHaveLength(64);
    expect(header('signature-input', bodyless)).toContain('("@method" "@target-uri")');
    expect(bodyless.headers.has('content-digest')).toBe(false);
  });

  it('without a body verifies without one, also when its address has a fragment, which is never sent', async () => {
    expect(await code(verifyRequest(bodyless, undefined, { clock }))).toBe('verified');
    expect(await code(verifyRequest(bodyless, new Uint8Array(0), { clock }))).toBe('verified');
    const fragment = await signRequest(new Request(`${URL}#here`), east);
    expect(await code(verifyRequest(changed(fragment, { url: URL }), undefined, { clock }))).toBe('verified');
  });

  it('with an empty body is covered too', async () => {
    const empty = await signRequest(new Request(URL, { method: 'POST', body: '' }), east);
    expect(await code(verifyRequest(empty, new Uint8Array(0), { clock }))).toBe('verified');
    expect(await code(verifyRequest(empty, utf8('x'), { clock }))).toBe('REQUEST_SIGNATURE_INVALID');
  });

  it.each([
    ['method', { method: 'PUT' }], ['query', { url: `${URL}1` }], ['host', { url: URL.replace('east', 'west') }], ['scheme', { url: URL.replace('https', 'http') }],
    ['nonce', { headers: { 'signature-input': header('signature-input').replace(/nonce="(.)/, (_, first) => `nonce="${first === 'x' ? 'y' : 'x'}`) } }],
    ['created', { headers: { 'signature-input': header('signature-input').replace(/created=\d+/, `created=${NOW / 1_000 + 1}`) } }],
    ['another caller\'s certificate', { headers: { 'client-cert': `:${Buffer.from(readCertificate(other.certificate).der).toString('base64')}:` } }],
    ['another key id', { headers: { 'signature-input': header('signature-input').replace(/keyid="[^"]+"/, `keyid="${toBase64url(readCertificate(other.certificate).fingerprint)}"`) } }],
    ['a body digest dropped from the cover', { headers: { 'signature-input': header('signature-input').replace(' "content-digest"', '') } }],
    ['a zero signature', { headers: { signature: `healthkeep=:${Buffer.alloc(64).toString('base64')}:` } }],
  ] as const)('is refused with a changed %s', async (_what, change) => {
    expect(await code(verifyRequest(changed(signed, change), BODY, { clock }))).toBe('REQUEST_SIGNATURE_INVALID');
  });

  it('is refused with another body, none, or one that was not signed', async () => {
    expect(await code(verifyRequest(signed, utf8('{"a":2}'), { clock }))).toBe('REQUEST_SIGNATURE_INVALID');
    expect(await code(verifyRequest(signed, undefined, { clock }))).toBe('REQUEST_SIGNATURE_INVALID');
    expect(await code(verifyRequest(bodyless, BODY, { clock }))).toBe('REQUEST_SIGNATURE_INVALID');
    expect(await code(verifyRequest(changed(bodyless, { headers: { 'content-digest': header('content-digest') } }), BODY, { clock }))).toBe('REQUEST_SIGNATURE_INVALID');
  });

  it('is refused with the other signature that fits (r, n − s)', async () => {
    const rs = Buffer.from(header('signature').slice('healthkeep=:'.length, -1), 'base64');
    const s = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n - BigInt(`0x${rs.subarray(32).toString('hex')}`);
    const twin = Buffer.concat([rs.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
    expect(await code(verifyRequest(changed(signed, { headers: { signature: `healthkeep=:${twin.toString('base64')}:` } }), BODY, { clock }))).toBe('REQUEST_SIGNATURE_INVALID');
  });

  it.each([
    ['signature', undefined], ['signature-input', undefined], ['client-cert', undefined], ['signature', ''], ['signature', 'other=:AAAA:'], ['signature', `${header('signature')}, two=:AAAA:`], ['client-cert', ':AAAA:'], ['client-cert', 'x'],
    ['signature-input', `${header('signature-input')};tag="x"`], ['signature-input', header('signature-input').replace('"@method" ', '')], ['signature-input', header('signature-input').replace('ecdsa-p256-sha256', 'hmac-sha256')],
    ['signature-input', header('signature-input').replace(/;nonce="[^"]+"/, '')], ['signature-input', `${header('signature-input')}, ${header('signature-input')}`],
  ])('is unsigned when %s is %s', async (name, value) => {
    expect(await code(verifyRequest(changed(signed, { headers: { [name]: value } }), BODY, { clock }))).toBe('REQUEST_UNSIGNED');
  });

  it('is stale outside five minutes either way', async () => {
    const at = (seconds: number) => ({ clock: { now: () => NOW + seconds * 1_000 } });
    for (const seconds of [-CREATED_TOLERANCE_SECONDS, CREATED_TOLERANCE_SECONDS]) expect(await code(verifyRequest(signed, BODY, at(seconds)))).toBe('verified');
    for (const seconds of [-CREATED_TOLERANCE_SECONDS - 1, CREATED_TOLERANCE_SECONDS + 1]) expect(await code(verifyRequest(signed, BODY, at(seconds)))).toBe('REQUEST_STALE');
  });
});

describe('a request signed with a mailbox key', () => {
  it('tells the handle, which is the digest of the key', async () => {
    const request = await signMailboxRequest(post(), east);
    const verified = await verifyMailboxRequest(request, BODY, { clock });
    expect([verified.handle, verified.publicKey]).toEqual([toBase64url(sha256(east.publicKey)), east.publicKey]);
    expect(request.headers.has('client-cert')).toBe(false);
    expect(await code(verifyRequest(request, BODY, { clock }))).toBe('REQUEST_UNSIGNED');
    expect(await code(verifyMailboxRequest(signed, BODY, { clock }))).toBe('REQUEST_UNSIGNED');
  });

  it('is refused with another key, and unsigned with an unreadable one', async () => {
    const request = await signMailboxRequest(post(), east);
    expect(await code(verifyMailboxRequest(changed(request, { headers: { 'healthkeep-key': toBase64url(other.publicKey) } }), BODY, { clock }))).toBe('REQUEST_SIGNATURE_INVALID');
    for (const value of ['', '!', 'AAAA', undefined]) expect(await code(verifyMailboxRequest(changed(request, { headers: { 'healthkeep-key': value } }), BODY, { clock }))).toBe('REQUEST_UNSIGNED');
    const truncated = toBase64url(fromBase64url(header('healthkeep-key', request)).slice(0, 50));
    expect(await code(verifyMailboxRequest(changed(request, { headers: { 'healthkeep-key': truncated } }), BODY, { clock }))).toBe('REQUEST_SIGNATURE_INVALID');
  });
});
