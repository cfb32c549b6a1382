import { describe, expect, it } from 'vitest';
import { mergeNotes, noteSignatures, noteSigners, parseCheckpoint, signNote, verifyNoteSignature, writeCheckpoint } from './checkpoint.ts';
import { generateSigningKey, signLowS } from './keys.ts';
import { createAuthority, verifyChain } from './x509.ts';

const NOW = Date.UTC(2026, 10, 20, 12);
const clock = { now: () => NOW };

async function signer(org: string, organizationalUnit = 'peer') {
  const ca = await createAuthority({ org, commonName: `${org} root`, clock });
  const keys = await generateSigningKey();
  const certificate = await ca.issue({ commonName: 'peer0', organizationalUnit, attributes: {}, publicKey: keys.publicKey, notBefore: NOW, days: 30 });
  return { name: org, certificate, sign: (message: Uint8Array) => signLowS(keys.privateKey, message), rootCertificate: ca.certificate };
}

const [east, care] = await Promise.all([signer('HO-east'), signer('DUO-care')]);
const checkpoint = { origin: 'healthkeep/hdc-east', size: 20_852_163, root: new Uint8Array(32).fill(1), height: 12, blockHash: new Uint8Array(32).fill(2) };
const text = writeCheckpoint(checkpoint);

describe('a checkpoint', () => {
  it('is written as C2SP has it and read back', () => {
    expect(text).toBe('healthkeep/hdc-east\n20852163\nAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\nheight 12\nblock AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n');
    expect(parseCheckpoint(text)).toEqual(checkpoint);
    expect(parseCheckpoint(writeCheckpoint({ ...checkpoint, size: 0, height: 0 }))).toMatchObject({ size: 0, height: 0 });
  });

  const coded = expect.objectContaining({ code: 'CHECKPOINT_INVALID' });

  it.each([
    ['', ''], ['an empty origin', text.replace('healthkeep/hdc-east', '')], ['a space in the origin', text.replace('-', ' ')], ['a plus in the origin', text.replace('-', '+')], ['a leading zero', text.replace('20852163', '020852163')],
    ['a negative size', text.replace('20852163', '-1')], ['a size beyond counting', text.replace('20852163', '99999999999999999999')], ['a short root', text.replace('AQEB', '')], ['a root in base64url', text.replace('AQEBAQEB', '-_EBAQEB')],
    ['no height', text.replace('height 12\n', '')], ['another order', text.replace(/(height.*\n)(block.*\n)/, '$2$1')], ['one line more', `${text}more\n`], ['no last line break', text.slice(0, -1)], ['a carriage return', text.replaceAll('\n', '\r\n')],
  ])('with %s is refused', (_what, wrong) => {
    expect(() => parseCheckpoint(wrong)).toThrow(coded);
  });

  it('that could not be read back is not written', () => {
    for (const wrong of [{ origin: 'a\nb' }, { origin: '' }, { size: 1.5 }, { size: -1 }, { root: new Uint8Array(31) }, { blockHash: new Uint8Array(33) }]) expect(() => writeCheckpoint({ ...checkpoint, ...wrong })).toThrow(coded);
  });
});

describe('signatures', () => {
  it('of several organisations stand on one note, in the order of their names, and each verifies under its own root', async () => {
    const note = await signNote(await signNote(text, east), care);
    expect(note.startsWith(`${text}\n— DUO-care `)).toBe(true);
    expect(noteSignatures(note).map(({ name }) => name)).toEqual(['DUO-care', 'HO-east']);
    expect(parseCheckpoint(note)).toEqual(checkpoint);
    expect(await verifyNoteSignature(note, { ...east, at: NOW })).toBe(true);
    expect(await verifyNoteSignature(note, { ...care, at: NOW })).toBe(true);
    expect(await verifyNoteSignature(note, east)).toBe(true);
    expect(await verifyChain(noteSignatures(note)[1]!.certificate, east.rootCertificate, NOW)).toBe(true);
  });

  it('do not verify for another text, root, name, day, or a certificate that is no peer\'s', async () => {
    const note = await signNote(text, east);
    expect(await verifyNoteSignature(note.replace('20852163', '20852164'), east)).toBe(false);
    expect(await verifyNoteSignature(note, { ...east, rootCertificate: care.rootCertificate })).toBe(false);
    expect(await verifyNoteSignature(note, { ...east, name: 'DUO-care' })).toBe(false);
    expect(await verifyNoteSignature(note.replace('— HO-east', '— HO-west'), { ...east, name: 'HO-west' })).toBe(false);
    expect(await verifyNoteSignature(note, { ...east, at: NOW + 31 * 86_400_000 })).toBe(false);
    expect(await verifyNoteSignature(text, east)).toBe(false);
    expect(await verifyNoteSignature('', east)).toBe(false);
    const client = await signer('HO-east', 'client');
    expect(await verifyNoteSignature(await signNote(text, client), client)).toBe(false);
    const renamed = { ...care, name: 'HO-east' };
    expect(await verifyNoteSignature(await signNote(text, renamed), renamed)).toBe(false);
  });

  it('replace the signer\'s own older one', async () => {
    const once = await signNote(text, east);
    expect(noteSignatures(await signNote(once, east))).toHaveLength(1);
  });

  it('of other kinds are passed over, broken lines are refused', async () => {
    const note = await signNote(text, east);
    const ed25519 = `— example.com/witness ${Buffer.alloc(68, 7).toString('base64')}\n`;
    expect(noteSignatures(note + ed25519).map(({ name }) => name)).toEqual(['HO-east']);
    expect(await verifyNoteSignature(note + ed25519, east)).toBe(true);
    for (const line of ['— HO-east\n', '- HO-east AAAA\n', '— HO east AAAA\n', '— HO-east !!!!\n', 'more\n', '— HO-east AAAA']) expect(() => noteSignatures(note + line), line).toThrow(expect.objectContaining({ code: 'CHECKPOINT_INVALID' }));
    expect(() => noteSignatures(note + ed25519.repeat(256))).toThrow(expect.objectContaining({ code: 'CHECKPOINT_INVALID' }));
    await expect(signNote(text, { ...east, name: 'a b' })).rejects.toThrow(expect.objectContaining({ code: 'CHECKPOINT_INVALID' }));
  });

  it('are gathered from copies of the same note, never of another', async () => {
    const merged = mergeNotes(await signNote(text, east), await signNote(text, care));
    expect(noteSignatures(merged)).toHaveLength(2);
    const other = await signNote(writeCheckpoint({ ...checkpoint, size: 5 }), care);
    expect(() => mergeNotes(merged, other)).toThrow(expect.objectContaining({ code: 'CHECKPOINT_INVALID' }));
  });

  it('of witnesses of growth have their own form, and neither form passes for the other', async () => {
    const note = await signNote(await signNote(text, east), { ...care, cosignedAt: NOW / 1_000 });
    expect(noteSignatures(note).map(({ name, cosignedAt }) => [name, cosignedAt])).toEqual([['DUO-care', NOW / 1_000], ['HO-east', undefined]]);
    expect(await noteSigners(note, [east, care], NOW)).toEqual({ trees: ['HO-east'], growth: ['DUO-care'] });
    expect(await noteSigners(note, [east], NOW)).toEqual({ trees: ['HO-east'], growth: [] });
    expect(await noteSigners('nonsense', [east, care])).toEqual({ trees: [], growth: [] });
    expect(await verifyNoteSignature(note, care)).toBe(false);
    // The same signature under the other type, and another time: refused.
    const plain = await signNote(text, care);
    const [cosigned, signed] = [note, plain].map((one) => Buffer.from(one.split('— DUO-care ')[1]!.split('\n')[0]!, 'base64')) as [Buffer, Buffer];
    const turned = Buffer.concat([signed.subarray(0, 4), cosigned.subarray(12)]);
    const later = Buffer.from(cosigned);
    later[11] = later[11]! ^ 1;
    for (const line of [turned, later]) expect(await noteSigners(`${text}\n— DUO-care ${line.toString('base64')}\n`, [care])).toEqual({ trees: [], growth: [] });
    for (let bit = 0; bit < cosigned.length * 8; bit += 5) {
      const changed = Buffer.from(cosigned);
      changed[bit >> 3] = changed[bit >> 3]! ^ (1 << (bit & 7));
      expect(await noteSigners(`${text}\n— DUO-care ${changed.toString('base64')}\n`, [care]), `bit ${bit}`).toEqual({ trees: [], growth: [] });
    }
  });

  it('survive no changed bit', async () => {
    const note = await signNote(text, east);
    const [head, line] = [note.slice(0, note.indexOf('HO-east ', text.length) + 8), note.slice(note.indexOf('HO-east ', text.length) + 8)];
    const blob = Buffer.from(line, 'base64');
    for (let bit = 0; bit < blob.length * 8; bit += 5) {
      const changed = Buffer.from(blob);
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(await verifyNoteSignature(`${head}${changed.toString('base64')}\n`, east), `bit ${bit}`).toBe(false);
    }
  });
});
