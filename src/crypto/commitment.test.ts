import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex, utf8 } from '#base/bytes.ts';
import { commit, saltedDigest, saltedList, statement } from './commitment.ts';
import { deriveKey, epochKey, numbered, pseudonym } from './derive.ts';
import { sha256 } from './digest.ts';

const base = { verificationKey: new Uint8Array(32).fill(1), domain: 'test/commitment', contentDigest: sha256(utf8('content')), metadata: { keeper: 'HO-east', record: 'r' } };

describe('commitments', () => {
  it('change with key, domain, content and every part of the metadata', () => {
    const others = [{ verificationKey: new Uint8Array(32).fill(2) }, { domain: 'test/commitmenT' }, { contentDigest: sha256(utf8('contenT')) }, { metadata: { keeper: 'HO-east', record: 's' } }, { metadata: { keeper: 'HO-eastr', record: '' } }, { metadata: {} }];
    const all = [base, ...others.map((other) => ({ ...base, ...other }))].map((input) => toHex(commit(input)));
    expect(new Set(all).size).toBe(all.length);
  });

  it('do not depend on the order in which metadata was written', () => {
    expect(commit({ ...base, metadata: { record: 'r', keeper: 'HO-east' } })).toEqual(commit(base));
  });

  it('statements of different parts are different bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 6 }), { maxLength: 5 }), fc.array(fc.string({ maxLength: 6 }), { maxLength: 5 }), (left, right) => {
        fc.pre(left.length !== right.length || left.some((part, at) => part !== right[at]));
        expect(toHex(statement('d', ...left))).not.toBe(toHex(statement('d', ...right)));
      }),
    );
    expect(statement('d', 'text')).toEqual(statement('d', utf8('text')));
  });

  it('of a list bind its order and its length', () => {
    const salt = new Uint8Array(32);
    const lists = [[], ['a'], ['a', 'b'], ['b', 'a'], ['a,b'], ['a","b']].map((list) => toHex(saltedList(salt, list)));
    expect(new Set(lists).size).toBe(lists.length);
    expect(saltedDigest(salt, utf8('x'))).not.toEqual(saltedDigest(new Uint8Array(32).fill(1), utf8('x')));
  });
});

describe('derived keys', () => {
  const secret = new Uint8Array(32).fill(5);

  it('of different uses, epochs, numbers and parties never meet', () => {
    const index = deriveKey(secret, 'index', 32);
    const texts = [
      ...['index', 'pairwise', 'vault', 'hpke/a', 'hpke/b'].map((use) => toHex(deriveKey(secret, use, 32))),
      ...[0, 1, 2 ** 32 - 1].flatMap((epoch) => [0, 1, 2 ** 32, 2 ** 53 - 1].flatMap((n) => ['tag', 'key'].map((domain) => toHex(numbered(epochKey(index, epoch), domain, n))))),
    ];
    expect(new Set(texts).size).toBe(texts.length);
    expect(pseudonym(index, 'd', 'HO-east')).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(pseudonym(index, 'd', 'HO-east')).not.toBe(pseudonym(index, 'd', 'HO-west'));
  });

  it('have the length asked for and come back the same', () => {
    for (const length of [1, 16, 32, 64]) expect(deriveKey(secret, 'vault', length)).toHaveLength(length);
    expect(deriveKey(secret, 'vault', 32)).toEqual(deriveKey(secret.slice(), 'vault', 32));
  });
});
