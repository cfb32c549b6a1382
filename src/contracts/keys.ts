/**
 * The ledger keys that readers outside a contract need, to find a state in a channel tree. A composite key is Fabric's:
 * U+0000, the object type, U+0000, then each attribute followed by U+0000.
 */
import type { ChannelName, OrgId, RecordId, SlotTag } from '#model/ids.ts';
import { orderedNumber, type Key } from './state.ts';

/** Fabric's composite key text. */
export function compositeKey([objectType, ...attributes]: Key): string {
  return `\u0000${objectType}\u0000${attributes.map((attribute) => `${attribute}\u0000`).join('')}`;
}

/** HDC: state `AnchorState`. */
export const anchorKey = (id: RecordId): string => compositeKey(['anchor', id]);
/** DRC: state `SlotState`. */
export const slotKey = (slot: SlotTag): string => compositeKey(['slot', slot]);

export interface CheckpointPlace {
  readonly channel: ChannelName;
  readonly org: OrgId;
  readonly size: number;
}

/** CON: state `CheckpointState`. No composite key, because Fabric reads ranges of plain keys only. */
export const checkpointKey = ({ channel, org, size }: CheckpointPlace): string => `checkpoint/${channel}/${org}/${orderedNumber(size)}`;
