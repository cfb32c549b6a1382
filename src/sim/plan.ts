/** Who the people of a story are, which bundles they bring to which hospital, and how they decide. */
import type { Bytes } from '#base/bytes.ts';
import { utf8 } from '#base/bytes.ts';
import type { OrgId } from '#model/ids.ts';
import { KEEPERS } from './members.ts';
import { syntheticPeople } from './people.ts';

export interface PlannedBundle {
  readonly keeper: OrgId;
  readonly file: string;
  /** The bundle's bytes, read when needed. */
  read(): Bytes;
}

export interface StoryPlan {
  /** Bundles of the same people at different hospitals: the nth patient of each bundle of a group is one person. */
  readonly groups: readonly (readonly PlannedBundle[])[];
  /** Texts that must appear nowhere but in records. */
  readonly canaries: readonly string[];
}

/** Our synthetic people, each at one or both hospitals. */
export function syntheticPlan(options: { readonly seed: string | number; readonly count: number; readonly visits?: number }): StoryPlan {
  const people = syntheticPeople({ ...options, hospitals: KEEPERS.length });
  return {
    groups: people.map((person) => person.bundles.map((bundle) => ({ keeper: (KEEPERS[bundle.hospital] as (typeof KEEPERS)[number]).org, file: bundle.file, read: () => utf8(bundle.text) }))),
    canaries: people.flatMap((person) => [...person.canaries]),
  };
}

/** A folder's files, dealt to the hospitals in turn. */
export function filePlan(files: readonly { readonly name: string; read(): Bytes }[]): StoryPlan {
  return {
    groups: files.map((file, at) => [{ keeper: (KEEPERS[at % KEEPERS.length] as (typeof KEEPERS)[number]).org, file: file.name, read: () => file.read() }]),
    canaries: [],
  };
}

export type Character = 'shares-all' | 'shares-less' | 'says-no' | 'stays-silent' | 'revokes-before' | 'revokes-after' | 'withdraws' | 'permits-nobody';

const CHARACTERS: readonly Character[] = ['shares-all', 'shares-less', 'says-no', 'revokes-after', 'shares-all', 'withdraws', 'revokes-before', 'stays-silent', 'shares-less', 'permits-nobody'];

/** How the nth person behaves: every way of answering occurs among ten people, the common ones among four. */
export function characterOf(index: number): Character {
  return CHARACTERS[index % CHARACTERS.length] as Character;
}
