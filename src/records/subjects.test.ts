import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignSubjects, type Claim, type SubjectTarget } from './subjects.ts';

const of = (...patients: readonly string[]): readonly SubjectTarget[] => patients.map((patient) => ({ kind: 'patient', patient }));
const stranger: readonly SubjectTarget[] = [{ kind: 'stranger' }];
const group: readonly SubjectTarget[] = [{ kind: 'open' }];
const claim = (index: number, rest: Partial<Claim> = {}): Claim => ({ index, subjects: [], refersTo: [], ...rest });
const ada = claim(0, { patient: 'ada' });
const bob = claim(1, { patient: 'bob' });

describe('whose record it is', () => {
  it.each<[string, readonly Claim[], Readonly<Record<number, readonly string[]>>]>([
    ['a patient owns itself', [ada, bob], { 0: ['ada'], 1: ['bob'] }],
    ['the only patient owns everything', [ada, claim(2), claim(3, { subjects: group })], { 2: ['ada'], 3: ['ada'] }],
    ['the only patient owns nothing of a stranger', [ada, claim(2, { subjects: stranger })], { 2: [] }],
    ['a named patient owns what names it', [ada, bob, claim(2, { subjects: of('bob') })], { 2: ['bob'] }],
    ['a patient of the store is as good', [claim(2, { subjects: of('eve') }), claim(3)], { 2: ['eve'], 3: ['eve'] }],
    ['naming two is naming nobody', [ada, bob, claim(2, { subjects: of('ada', 'bob') })], { 2: [] }],
    ['naming one twice is naming it', [ada, bob, claim(2, { subjects: of('ada', 'ada') })], { 2: ['ada'] }],
    ['a shared resource belongs to each that refers to it', [ada, bob, claim(2, { subjects: of('ada'), refersTo: [4] }), claim(3, { subjects: of('bob'), refersTo: [4] }), claim(4)], { 4: ['ada', 'bob'] }],
    ['sharing goes on from shared to shared', [ada, bob, claim(2, { subjects: of('ada'), refersTo: [3] }), claim(3, { refersTo: [4] }), claim(4, { refersTo: [3] })], { 3: ['ada'], 4: ['ada'] }],
    ['what only refers to records of one patient is that patient\'s', [ada, bob, claim(2, { subjects: of('bob') }), claim(3, { refersTo: [2] })], { 3: ['bob'] }],
    ['what refers to records of two is nobody\'s', [ada, bob, claim(2, { refersTo: [0, 1] })], { 2: [] }],
    ['what nobody of several patients refers to is nobody\'s', [ada, bob, claim(2)], { 2: [] }],
    ['a record of one patient does not become shared by being referred to', [ada, bob, claim(2, { subjects: of('ada') }), claim(3, { subjects: of('bob'), refersTo: [2] })], { 2: ['ada'], 3: ['bob'] }],
    ['without any patient nothing belongs to anybody', [claim(0), claim(1, { refersTo: [0] })], { 0: [], 1: [] }],
  ])('%s', (_, claims, expected) => {
    const owners = assignSubjects(claims);
    for (const [index, patients] of Object.entries(expected)) expect(owners.get(Number(index))).toEqual(patients);
  });

  it('does not depend on the order, and never gives a named record to another', () => {
    const claims = fc.integer({ min: 3, max: 12 }).chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => fc.record({
      index: fc.constant(index),
      subjects: index < 2 ? fc.constant([]) : fc.constantFrom(of('p0'), of('p1'), of(), stranger, of('p0', 'p1')),
      refersTo: fc.array(fc.nat(count - 1), { maxLength: 3 }),
    }))));
    fc.assert(fc.property(claims, fc.nat(), (list, turn) => {
      const whole: readonly Claim[] = list.map((one) => (one.index < 2 ? { ...one, patient: `p${one.index}` } : one));
      const owners = assignSubjects(whole);
      const at = turn % whole.length;
      expect(assignSubjects([...whole.slice(at), ...whole.slice(0, at)])).toEqual(new Map([...whole.slice(at), ...whole.slice(0, at)].map(({ index }) => [index, owners.get(index)])));
      for (const one of whole) {
        const named = one.subjects.flatMap((subject) => (subject.kind === 'patient' ? [subject.patient] : []));
        if (new Set(named).size === 1) expect(owners.get(one.index)).toEqual([named[0]]);
      }
    }), { numRuns: 500 });
  });
});
