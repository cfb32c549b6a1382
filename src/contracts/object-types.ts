/**
 * Every object type that any contract writes composite keys under. Fabric lists keys of a named type only, so whoever reads
 * a whole state (a move, docs/moving.md) goes through this list; `Key` takes no other type, so it cannot fall behind.
 */
export const OBJECT_TYPES = [
  // Every contract.
  'move', 'time-claim', 'time-floor',
  // UIC.
  'entry', 'writer',
  // HDC.
  'access-head', 'anchor', 'order', 'subject',
  // DRC.
  'duo-slot', 'settled', 'slot', 'slot-writer', 'statement', 'statement-head', 'template', 'unsettled',
  // CON.
  'accepted', 'checkpoint', 'checkpoint-root', 'directory', 'member', 'proposal', 'standing',
] as const;

export type ObjectType = (typeof OBJECT_TYPES)[number];
