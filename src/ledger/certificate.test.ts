/** Our reader of certificates, lists and signatures, against OpenSSL and Node. */
import { createHash, createPublicKey, generateKeyPairSync, sign, verify, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { toHex, utf8 } from '#base/bytes.ts';
import { fakeClock } from '#sim/seams.ts';
import { readCertificate, readCrl } from '#crypto/x509.ts';
import { parseCertificate, parseRevocationList } from './certificate.ts';
import { callerIdentity, identityOf } from './client-identity.ts';
import { createTestOrg, type TestOrg } from './consortium.test-kit.ts';
import { derElements, derTime } from './der.ts';
import { compareKeys } from './key-order.ts';
import { derFromRaw, isLowS, rawFromDer, withLowS } from './low-s.ts';
import { sha256 } from './sha256.ts';
import { createSigner } from './signer.ts';
import { compareBytes } from '#base/bytes.ts';

const clock = fakeClock(Date.UTC(2026, 0, 5, 12));
let org: TestOrg;
beforeAll(async () => {
  org = await createTestOrg('OrgA', clock);
});

describe('a certificate', () => {
  it('reads as Node and the crypto room read it', () => {
    const { certificate } = org.client;
    const fields = parseCertificate(certificate);
    const node = new X509Certificate(certificate);
    const facts = readCertificate(certificate);
    expect(fields.serialHex.toUpperCase()).toBe(node.serialNumber.replace(/^(00)+/, ''));
    expect(toHex(fields.fingerprint)).toBe(node.fingerprint256.replaceAll(':', '').toLowerCase());
    expect([fields.commonName, fields.org, fields.organizationalUnits]).toEqual([facts.commonName, 'OrgA', ['client']]);
    expect([fields.notBefore, fields.notAfter]).toEqual([new Date(node.validFrom).getTime(), new Date(node.validTo).getTime()]);
    expect(toHex(fields.spki)).toBe(node.publicKey.export({ format: 'der', type: 'spki' }).toString('hex'));
    expect(fields.attributes).toEqual({ 'test.role': 'system' });
    expect(fields.isAuthority).toBe(false);
    expect(fields.authorityKeyId).toBe(parseCertificate(org.ca.certificate).subjectKeyId);
    expect(parseCertificate(org.ca.certificate).isAuthority).toBe(true);
    expect(verify('sha256', fields.signedPart, new X509Certificate(org.ca.certificate).publicKey, fields.signature)).toBe(true);
  });

  it('gives the caller to contracts, once parsed ever after', () => {
    const stub = { getCreator: () => ({ mspid: 'OrgA', idBytes: utf8(org.client.certificate) }) };
    const caller = callerIdentity(stub);
    expect(caller).toMatchObject({ mspId: 'OrgA', commonName: 'system', organizationalUnit: 'client', attributes: { 'test.role': 'system' } });
    expect(callerIdentity(stub)).toBe(caller);
    expect(identityOf('OrgB', org.client.certificate)).toMatchObject({ mspId: 'OrgB' });
  });

  it.each([['no PEM', 'hello'], ['an empty block', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----'], ['no DER', '-----BEGIN CERTIFICATE-----\nAAECAwQ=\n-----END CERTIFICATE-----']])('refuses %s', (_name, pem) => {
    expect(() => parseCertificate(pem)).toThrow(expect.objectContaining({ code: 'LEDGER_MALFORMED' }));
  });

  it('refuses every truncation', () => {
    const { der } = parseCertificate(org.client.certificate);
    for (let length = 0; length < der.length; length += 7) {
      const pem = `-----BEGIN CERTIFICATE-----\n${Buffer.from(der.subarray(0, length)).toString('base64')}\n-----END CERTIFICATE-----\n`;
      expect(() => parseCertificate(pem)).toThrow(expect.objectContaining({ code: 'LEDGER_MALFORMED' }));
    }
  });

  it('times beyond 2049 are read as well', () => {
    expect(derTime({ tag: 0x18, content: utf8('20510203040506Z'), whole: utf8('') })).toBe(Date.UTC(2051, 1, 3, 4, 5, 6));
    expect(derTime({ tag: 0x17, content: utf8('491231235959Z'), whole: utf8('') })).toBe(Date.UTC(2049, 11, 31, 23, 59, 59));
    expect(derTime({ tag: 0x17, content: utf8('500101000000Z'), whole: utf8('') })).toBe(Date.UTC(1950, 0, 1));
  });
});

describe('a revocation list', () => {
  it('names what it revokes', async () => {
    const others = await Promise.all([1, 2, 3].map((index) => org.issue(`c${index}`, 'client')));
    const pem = await org.ca.issueCrl(others.map(({ certificate }) => ({ certificate, at: clock.now() })), clock.now());
    const list = parseRevocationList(pem);
    expect([...list.revoked].sort()).toEqual(others.map(({ certificate }) => parseCertificate(certificate).serialHex).sort());
    expect([...readCrl(pem).revoked.keys()]).toHaveLength(3);
    expect(verify('sha256', list.signedPart, new X509Certificate(org.ca.certificate).publicKey, list.signature)).toBe(true);
  });

  it('may be empty', async () => expect(parseRevocationList(await org.ca.issueCrl([], clock.now())).revoked.size).toBe(0));
});

describe('signatures', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  it('come out with low S, and still verify', () => {
    for (let turn = 0; turn < 100; turn++) {
      const message = Buffer.from(`message ${turn}`);
      const der = sign('sha256', message, privateKey);
      const low = withLowS(der);
      expect(isLowS(low)).toBe(true);
      expect(verify('sha256', message, publicKey, low)).toBe(true);
      const raw = rawFromDer(der) as { r: Uint8Array; s: Uint8Array };
      expect(toHex(derFromRaw(Buffer.concat([raw.r, raw.s])))).toBe(toHex(low));
    }
  });

  it('of WebCrypto, too', async () => {
    const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
    const signer = createSigner({ mspId: 'OrgA', certificate: '', privateKey: pair.privateKey });
    const key = createPublicKey({ key: Buffer.from(await crypto.subtle.exportKey('spki', pair.publicKey)), format: 'der', type: 'spki' });
    for (let turn = 0; turn < 20; turn++) {
      const signature = await signer.sign(utf8(`m${turn}`));
      expect(isLowS(signature) && verify('sha256', utf8(`m${turn}`), key, signature)).toBe(true);
    }
  });

  it('that are none are not low', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (noise) => {
      expect(typeof isLowS(noise)).toBe('boolean');
    }));
    expect(isLowS(new Uint8Array(0))).toBe(false);
    expect(isLowS(utf8('0'))).toBe(false);
  });
});

describe('SHA-256', () => {
  it('gives the digests of FIPS 180-4', () => {
    expect(toHex(sha256(utf8('abc')))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(toHex(sha256())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });

  it('and those of OpenSSL for any parts', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 4 }), (parts) => {
      expect(toHex(sha256(...parts))).toBe(createHash('sha256').update(Buffer.concat(parts)).digest('hex'));
    }));
  });
});

it('keys sort as their UTF-8 bytes do', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (left, right) => {
    expect(Math.sign(compareKeys(left, right))).toBe(Math.sign(compareBytes(utf8(left), utf8(right))));
  }), { numRuns: 1_000 });
});

it('DER lengths of every size are read', () => {
  for (const length of [0, 127, 128, 255, 256, 65_535, 65_536]) {
    const head = length < 128 ? [4, length] : length < 256 ? [4, 0x81, length] : length < 65_536 ? [4, 0x82, length >> 8, length & 255] : [4, 0x83, length >> 16, (length >> 8) & 255, length & 255];
    const [element] = derElements(Buffer.concat([Buffer.from(head), Buffer.alloc(length)]));
    expect(element?.content.length).toBe(length);
  }
});
