import { describe, expect, it } from 'vitest';
import { canariesOf, syntheticPeople, syntheticPerson } from './people.ts';

const options = { seed: 'people', count: 9, hospitals: 2 };
const people = syntheticPeople(options);

describe('synthetic people', () => {
  it('are the same from the same seed, byte for byte, and others from another', () => {
    expect(syntheticPeople(options)).toEqual(people);
    expect(syntheticPeople({ ...options, seed: 'others' }).map((person) => person.bundles[0]?.text)).not.toEqual(people.map((person) => person.bundles[0]?.text));
  });

  it('do not depend on how many there are', () => {
    expect(syntheticPerson({ ...options, count: 1_000 }, 4)).toEqual(people[4]);
  });

  it('were at every hospital, but for every fourth, who was at one', () => {
    expect(people.map((person) => person.bundles.map((bundle) => bundle.hospital))).toEqual([[0, 1], [0, 1], [0, 1], [0], [0, 1], [0, 1], [0, 1], [1], [0, 1]]);
  });

  it('come as transactions and as collections, and have another id at each hospital', () => {
    expect(new Set(people.flatMap((person) => person.bundles.map((bundle) => bundle.type)))).toEqual(new Set(['transaction', 'collection']));
    const ids = people.flatMap((person) => person.bundles.map((bundle) => bundle.patient));
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('carry canaries that are in their own bundles and in nobody else\'s', () => {
    const texts = people.map((person) => person.bundles.map((bundle) => bundle.text).join('\n'));
    for (const [at, person] of people.entries()) {
      const canaries = canariesOf(person);
      expect(canaries.length).toBeGreaterThan(12);
      for (const kind of ['NAME', 'ADDRESS', 'MRN', 'PHONE', 'NOTE', 'TEXT']) expect(canaries.some((canary) => canary.startsWith(`CANARY-${kind}-`)), kind).toBe(true);
      expect(canaries.some((canary) => /^[1-9]{9}$/.test(canary))).toBe(true);
      for (const canary of canaries) expect(texts.map((text) => text.includes(canary))).toEqual(texts.map((_, other) => other === at));
    }
  });

  it('keep what may be printed free of canaries', () => {
    for (const person of people) for (const canary of canariesOf(person)) expect([person.label, ...person.bundles.map((bundle) => `${bundle.file} ${bundle.patient}`)].join(' ')).not.toContain(canary);
  });

  it('make as many records as asked for', () => {
    const [few, many] = [1, 20].map((visits) => syntheticPeople({ seed: 'size', count: 1, hospitals: 1, visits })[0]?.bundles[0]);
    expect(many?.resources).toBeGreaterThan((few?.resources ?? 0) * 10);
    expect((JSON.parse(many?.text ?? '') as { entry: unknown[] }).entry).toHaveLength(many?.resources ?? -1);
  });

  it('have laboratory values a template can ask for', () => {
    for (const person of people) expect(person.bundles.every((bundle) => /"code": ?"4548-4"/.test(bundle.text))).toBe(true);
  });
});
