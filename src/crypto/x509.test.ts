import 'reflect-metadata';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { X509Certificate as NodeCertificate } from 'node:crypto';
import * as peculiar from '@peculiar/x509';
import { afterAll, describe, expect, it } from 'vitest';
import { fromHex, toBase64url, toHex, utf8 } from '#base/bytes.ts';
import { bitString, der, readDer, readElements, readInteger, readTime, sequence, TAG, time } from './der.ts';
import { generateSigningKey, signLowS, spki, verifyDer } from './keys.ts';
import { fromPem, toPem } from './pem.ts';
import { isLowS } from './signature.ts';
import { createAuthority, createCsr, openAuthority, readCertificate, readCrl, readCsr, verifyChain, verifyCrl } from './x509.ts';

const DAY = 86_400_000;
const START = Date.UTC(2026, 10, 20);
const NOON = START + DAY / 2;
const clock = { now: () => NOON };
const ca = await createAuthority({ org: 'HO-east', commonName: 'HO-east root', clock });
const keys = await generateSigningKey();
const request = { commonName: 'Zm9vYmFyZm9vYmFyZm9vYg', organizationalUnit: 'client', attributes: { 'hk.role': 'system', 'hk.note': 'ö"\\' }, publicKey: keys.publicKey, notBefore: NOON, days: 30 };
const leaf = await ca.issue(request);

/** The same document with its last signature byte's lowest bit changed. */
function spoiled(label: string, pem: string): string {
  const bytes = fromPem(label, pem) as Uint8Array;
  return toPem(label, Uint8Array.from(bytes, (byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte)));
}

describe('issued certificates', () => {
  it('say what was asked for, in whole days, and are low-S', () => {
    const facts = readCertificate(leaf);
    expect(facts).toMatchObject({ commonName: request.commonName, org: 'HO-east', organizationalUnit: 'client', attributes: request.attributes, notBefore: START, notAfter: START + 30 * DAY, isAuthority: false });
    expect(isLowS(facts.signature)).toBe(true);
    expect(readCertificate(ca.certificate)).toMatchObject({ org: 'HO-east', organizationalUnit: '', isAuthority: true, attributes: {} });
    expect(facts.issuerKeyId).toBe(readCertificate(ca.certificate).subjectKeyId);
  });

  it('have random serial numbers of one length, so that neither order nor time shows', async () => {
    const serials = await Promise.all(Array.from({ length: 50 }, async () => readCertificate(await ca.issue(request)).serialHex));
    expect(new Set(serials).size).toBe(50);
    expect(serials.every((serial) => serial.length === 32)).toBe(true);
  });

  it('are read alike by another library and by Node', async () => {
    const theirs = new peculiar.X509Certificate(leaf);
    const facts = readCertificate(leaf);
    expect(theirs.subject).toBe(`CN=${request.commonName}, OU=client, O=HO-east`);
    expect(theirs.serialNumber).toBe(facts.serialHex);
    expect(new Uint8Array(theirs.publicKey.rawData)).toEqual(facts.spki);
    expect(new Uint8Array(await theirs.getThumbprint('SHA-256'))).toEqual(facts.fingerprint);
    expect(await theirs.verify({ publicKey: new peculiar.X509Certificate(ca.certificate).publicKey, signatureOnly: true })).toBe(true);
    expect(JSON.parse(Buffer.from(theirs.getExtension('1.2.3.4.5.6.7.8.1')?.value ?? new ArrayBuffer(0)).toString())).toEqual({ attrs: request.attributes });
    const [node, root] = [new NodeCertificate(leaf), new NodeCertificate(ca.certificate)];
    expect([node.checkIssued(root), node.verify(root.publicKey), node.ca, root.ca]).toEqual([true, true, false, true]);
  });

  it('are made for SubjectPublicKeyInfo bytes as for keys, and for P-256 only', async () => {
    expect(readCertificate(await ca.issue({ ...request, publicKey: await spki(keys.publicKey) })).spki).toEqual(await spki(keys.publicKey));
    const other = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, true, ['sign', 'verify']);
    const offCurve = (await spki(keys.publicKey)).slice();
    offCurve[90] = (offCurve[90] as number) ^ 1;
    for (const publicKey of [new Uint8Array(await crypto.subtle.exportKey('spki', other.publicKey)), new Uint8Array(91), offCurve]) {
      await expect(ca.issue({ ...request, publicKey })).rejects.toThrow(expect.objectContaining({ code: 'KEY_INVALID' }));
    }
  });
});

describe('a chain', () => {
  it('holds within its days, for its own root only', async () => {
    const other = await createAuthority({ org: 'HO-west', commonName: 'HO-west root', clock });
    const impostor = await createAuthority({ org: 'HO-east', commonName: 'HO-east root', clock });
    expect(await verifyChain(leaf, ca.certificate, NOON)).toBe(true);
    expect(await verifyChain(leaf, ca.certificate, undefined)).toBe(true);
    const refusals: readonly (readonly [string, string, number | undefined])[] = [
      [leaf, ca.certificate, START - 1], [leaf, ca.certificate, START + 30 * DAY + 1], [leaf, other.certificate, NOON], [leaf, impostor.certificate, NOON], [leaf, impostor.certificate, undefined],
      [ca.certificate, ca.certificate, NOON], [leaf, leaf, NOON], [spoiled('CERTIFICATE', leaf), ca.certificate, NOON], [leaf, spoiled('CERTIFICATE', ca.certificate), NOON], ['', ca.certificate, NOON], [leaf, 'x', NOON],
    ];
    for (const [pem, root, at] of refusals) expect(await verifyChain(pem, root, at)).toBe(false);
    expect(await verifyChain(leaf, ca.certificate, START)).toBe(true);
    expect(await verifyChain(leaf, ca.certificate, START + 30 * DAY)).toBe(true);
  });

  it('cannot be lengthened: what a leaf signs is not issued by the organisation', async () => {
    const signed = await generateSigningKey();
    const upstart = await openAuthority({ org: 'HO-east', certificatePem: ca.certificate, privateKeyPkcs8: await ca.privateKeyPkcs8() });
    // The leaf's key signs a certificate that names the root as its issuer.
    const forged = fromPem('CERTIFICATE', await upstart.issue({ ...request, publicKey: signed.publicKey })) as Uint8Array;
    const [content, algorithm] = readElements(readDer(forged).content);
    const resigned = toPem('CERTIFICATE', sequence(content!.bytes, algorithm!.bytes, bitString(await signLowS(keys.privateKey, content!.bytes))));
    expect(readCertificate(resigned).org).toBe('HO-east');
    expect(await verifyChain(resigned, ca.certificate, NOON)).toBe(false);
  });

  it('does not let a root speak for another organisation', async () => {
    const both = await openAuthority({ org: 'HO-east', certificatePem: ca.certificate, privateKeyPkcs8: await ca.privateKeyPkcs8() });
    expect(await verifyChain(await both.issue(request), ca.certificate, NOON)).toBe(true);
    const content = readElements(readDer(fromPem('CERTIFICATE', leaf) as Uint8Array).content)[0]!.bytes;
    const renamed = Uint8Array.from(content);
    const at = Buffer.from(content).lastIndexOf('HO-east');
    renamed.set(utf8('HO-west'), at);
    const rootKey = await crypto.subtle.importKey('pkcs8', await ca.privateKeyPkcs8(), { name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign']);
    const algorithm = readElements(readDer(fromPem('CERTIFICATE', leaf) as Uint8Array).content)[1]!.bytes;
    const claimed = toPem('CERTIFICATE', sequence(renamed, algorithm, bitString(await signLowS(rootKey, renamed))));
    expect(readCertificate(claimed).org).toBe('HO-west');
    expect(await verifyChain(claimed, ca.certificate, NOON)).toBe(false);
  });
});

describe('a saved authority', () => {
  it('goes on issuing under the same root', async () => {
    const opened = await openAuthority({ org: 'HO-east', certificatePem: ca.certificate, privateKeyPkcs8: await ca.privateKeyPkcs8() });
    expect(await verifyChain(await opened.issue(request), ca.certificate, NOON)).toBe(true);
  });

  it('is not opened with the parts of another', async () => {
    const other = await createAuthority({ org: 'HO-east', commonName: 'other', clock });
    await expect(openAuthority({ org: 'HO-east', certificatePem: ca.certificate, privateKeyPkcs8: await other.privateKeyPkcs8() })).rejects.toThrow(expect.objectContaining({ code: 'KEY_INVALID' }));
    await expect(openAuthority({ org: 'HO-west', certificatePem: ca.certificate, privateKeyPkcs8: await ca.privateKeyPkcs8() })).rejects.toThrow(expect.objectContaining({ code: 'CERTIFICATE_INVALID' }));
    await expect(openAuthority({ org: 'HO-east', certificatePem: leaf, privateKeyPkcs8: await ca.privateKeyPkcs8() })).rejects.toThrow(expect.objectContaining({ code: 'CERTIFICATE_INVALID' }));
  });
});

describe('revocation lists', () => {
  it('name the revoked, by serial or certificate, and are signed', async () => {
    const crl = await ca.issueCrl([{ certificate: leaf, at: NOON }, { serialHex: '7f', at: START }, { serialHex: 'abc', at: START }], NOON);
    const list = readCrl(crl);
    expect([...list.revoked]).toEqual([[readCertificate(leaf).serialHex, NOON], ['7f', START], ['abc', START]]);
    expect([list.thisUpdate, list.nextUpdate]).toEqual([NOON, NOON + 30 * DAY]);
    expect(await verifyCrl(crl, ca.certificate)).toBe(true);
    expect(await verifyCrl(spoiled('X509 CRL', crl), ca.certificate)).toBe(false);
    expect(await verifyCrl(crl, (await createAuthority({ org: 'HO-east', commonName: 'HO-east root', clock })).certificate)).toBe(false);
    const theirs = new peculiar.X509Crl(fromPem('X509 CRL', crl) as Uint8Array<ArrayBuffer>);
    expect(theirs.entries).toHaveLength(3);
  });

  it('may be empty; what is none is refused', async () => {
    expect(readCrl(await ca.issueCrl([], NOON)).revoked.size).toBe(0);
    for (const text of ['', leaf, '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n']) {
      expect(() => readCrl(text)).toThrow(expect.objectContaining({ code: 'CRL_INVALID' }));
      expect(await verifyCrl(text, ca.certificate)).toBe(false);
    }
  });
});

describe('certificate requests', () => {
  it('carry a name and a key, proven by a signature', async () => {
    const csr = await createCsr({ commonName: 'pairwise', keyPair: keys });
    expect(await readCsr(csr)).toEqual({ commonName: 'pairwise', publicKeySpki: await spki(keys.publicKey) });
    expect(await new peculiar.Pkcs10CertificateRequest(csr).verify()).toBe(true);
  });

  it('of another library are read too', async () => {
    let theirs = '';
    // That library's signatures are high-S half of the time, which we refuse.
    do theirs = (await peculiar.Pkcs10CertificateRequestGenerator.create({ name: 'CN=other', keys, signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' } })).toString('pem');
    while ((await readCsr(theirs).catch(() => undefined)) === undefined);
    expect((await readCsr(theirs)).commonName).toBe('other');
  });

  it('are refused with a false signature, another key, no name, or when they are something else', async () => {
    const csr = await createCsr({ commonName: 'pairwise', keyPair: keys });
    const stolen = await createCsr({ commonName: 'pairwise', keyPair: { publicKey: keys.publicKey, privateKey: (await generateSigningKey()).privateKey } });
    const nameless = await createCsr({ commonName: '', keyPair: keys });
    for (const text of [spoiled('CERTIFICATE REQUEST', csr), stolen, nameless, leaf, '', csr.replace('REQUEST', 'THING')]) await expect(readCsr(text)).rejects.toThrow(expect.objectContaining({ code: 'CSR_INVALID' }));
  });
});

describe('reading is strict', () => {
  it('no byte of a certificate can change and leave a certificate of the same root', async () => {
    const original = fromPem('CERTIFICATE', leaf) as Uint8Array;
    let readable = 0;
    for (let bit = 0; bit < original.length * 8; bit++) {
      const changed = toPem('CERTIFICATE', Uint8Array.from(original, (byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)));
      expect(await verifyChain(changed, ca.certificate, undefined), `bit ${bit}`).toBe(false);
      try {
        readCertificate(changed);
        readable += 1;
      } catch (error) {
        expect(error).toEqual(expect.objectContaining({ code: 'CERTIFICATE_INVALID' }));
      }
    }
    // Some changes give a certificate of other content, which only the signature betrays: both kinds were seen.
    expect(readable).toBeGreaterThan(100);
  });

  it('cuts and extensions are refused', () => {
    const original = fromPem('CERTIFICATE', leaf) as Uint8Array;
    for (let length = 0; length < original.length; length++) expect(() => readCertificate(toPem('CERTIFICATE', original.subarray(0, length)))).toThrow(expect.objectContaining({ code: 'CERTIFICATE_INVALID' }));
    expect(() => readCertificate(`${leaf}${leaf}`)).toThrow(expect.objectContaining({ code: 'CERTIFICATE_INVALID' }));
  });

  it.each(['3080', '30810100', '3082000100', '1f0100', '30850000000000', '30', '300201'])('DER %s is refused', (hex) => {
    expect(() => readDer(fromHex(hex))).toThrow(expect.objectContaining({ code: 'DER_INVALID' }));
  });

  it('integers and times have one form', () => {
    for (const hex of ['0200', '020180', '02020001', '0202ff80']) expect(() => readInteger(readDer(fromHex(hex))), hex).toThrow(expect.objectContaining({ code: 'DER_INVALID' }));
    expect(readInteger(readDer(fromHex('02020080')))).toBe('80');
    for (const at of [0, START, Date.UTC(2049, 11, 31, 23, 59, 59), Date.UTC(2050, 0, 1)]) expect(readTime(readDer(time(at)))).toBe(at);
    expect([time(Date.UTC(2049, 0, 1))[0], time(Date.UTC(2050, 0, 1))[0]]).toEqual([TAG.utcTime, TAG.generalizedTime]);
    for (const text of ['261120000000', '2611200000Z', '260230000000Z', '261120240000Z', 'x']) expect(() => readTime(readDer(der(TAG.utcTime, utf8(text)))), text).toThrow(expect.objectContaining({ code: 'DER_INVALID' }));
    expect(() => readTime(readDer(der(TAG.generalizedTime, utf8('20261120000000Z'))))).toThrow(expect.objectContaining({ code: 'DER_INVALID' }));
  });

  it('PEM is one block of its label', () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, at) => at);
    expect(toHex(fromPem('X', toPem('X', bytes)) as Uint8Array)).toBe(toHex(bytes));
    expect(toPem('X', bytes).split('\n').map((line) => line.length)).toEqual([17, 64, 64, 8, 15, 0]);
    for (const text of ['', toPem('Y', bytes), toPem('X', bytes).replace('A', '!'), toPem('X', bytes).replace('=', ''), `${toPem('X', bytes)}${toPem('X', bytes)}`]) expect(fromPem('X', text)).toBeUndefined();
  });
});

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

describe.skipIf(!hasOpenssl)('OpenSSL', () => {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-x509-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const verify = (...args: string[]) => spawnSync('openssl', ['verify', '-x509_strict', '-attime', String(NOON / 1_000), ...args], { encoding: 'utf8' });

  it('accepts what we issue and refuses what we revoke', async () => {
    const fresh = write('leaf.pem', leaf);
    const root = write('root.pem', ca.certificate);
    expect(verify('-CAfile', root, fresh)).toMatchObject({ status: 0 });
    const none = write('none.pem', `${ca.certificate}${await ca.issueCrl([], NOON)}`);
    expect(verify('-crl_check', '-CAfile', none, fresh)).toMatchObject({ status: 0 });
    const listed = write('listed.pem', `${ca.certificate}${await ca.issueCrl([{ certificate: leaf, at: NOON }], NOON)}`);
    const refused = verify('-crl_check', '-CAfile', listed, fresh);
    expect([refused.status === 0, refused.stderr.includes('certificate revoked')]).toEqual([false, true]);
  });

  it('reads our requests and checks our signatures', async () => {
    const csr = write('request.pem', await createCsr({ commonName: 'pairwise', keyPair: keys }));
    expect(execFileSync('openssl', ['req', '-in', csr, '-verify', '-noout', '-subject'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })).toContain('pairwise');
    const message = write('message', 'what is signed');
    const signature = join(folder, 'signature');
    writeFileSync(signature, await signLowS(keys.privateKey, utf8('what is signed')));
    const publicKey = write('key.pem', toPem('PUBLIC KEY', await spki(keys.publicKey)));
    expect(execFileSync('openssl', ['dgst', '-sha256', '-verify', publicKey, '-signature', signature, message], { encoding: 'utf8' })).toContain('Verified OK');
    expect(await verifyDer(keys.publicKey, utf8('what is signed'), await signLowS(keys.privateKey, utf8('what is signed')))).toBe(true);
  });
});

describe('cached facts', () => {
  it('do not outgrow their bound and stay right', async () => {
    const texts = await Promise.all([1, 2, 3].map(() => ca.issue(request)));
    const first = texts.map((text) => toBase64url(readCertificate(text).fingerprint));
    expect(texts.map((text) => toBase64url(readCertificate(text).fingerprint))).toEqual(first);
    expect(new Set(first).size).toBe(3);
  });
});
