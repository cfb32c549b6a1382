/** Rules of moving: who freezes, when an import may begin, in what order it comes, when it is whole. */
import type { Digest, OrgId } from '../ids.ts';
import { STATE_FORMAT, type FreezeState, type ImportState, type MoveState } from '../move.ts';
import { ALLOW, refuse, type Verdict } from './verdict.ts';

/** May anything but moving be written? Not while the state is on its way out or in. */
export function decideWritable({ import: coming, freeze }: MoveState): Verdict {
  if (freeze?.frozen === true) return refuse('CHANNEL_FROZEN');
  return coming !== null && !coming.sealed ? refuse('CHANNEL_IMPORTING') : ALLOW;
}

/** Only those whose peers hold the channel speak here. */
export function decideVoice(caller: OrgId, peers: readonly OrgId[]): Verdict {
  return peers.includes(caller) ? ALLOW : refuse('MOVE_NO_VOICE');
}

/** The state after a voice. More than half freeze; only all together thaw, because a target may be live by then. */
export function freezeAfter(before: FreezeState | null, voice: { readonly caller: OrgId; readonly freeze: boolean; readonly peers: readonly OrgId[] }): FreezeState {
  const { caller, freeze, peers } = voice;
  const last = before ?? { freeze: [], thaw: [], frozen: false };
  const without = (orgs: readonly OrgId[]): OrgId[] => orgs.filter((org) => org !== caller);
  const next = { freeze: freeze ? [...without(last.freeze), caller] : without(last.freeze), thaw: freeze ? without(last.thaw) : [...without(last.thaw), caller] };
  if (last.frozen) {
    const thawed = peers.every((org) => next.thaw.includes(org));
    return thawed ? { freeze: [], thaw: [], frozen: false } : { ...next, frozen: true };
  }
  return { freeze: next.freeze, thaw: [], frozen: next.freeze.filter((org) => peers.includes(org)).length > peers.length / 2 };
}

/** Once, on an empty channel, for a state that these contracts can read. */
export function decideBegin({ move, empty, format }: { readonly move: MoveState; readonly empty: boolean; readonly format: number }): Verdict {
  if (move.import !== null) return refuse(move.import.sealed ? 'IMPORT_SEALED' : 'IMPORT_BEGUN');
  if (move.freeze?.frozen === true) return refuse('CHANNEL_FROZEN');
  if (format !== STATE_FORMAT) return refuse('STATE_FORMAT_OTHER', { expected: STATE_FORMAT, format });
  return empty ? ALLOW : refuse('CHANNEL_NOT_EMPTY');
}

/** Chunks come one after the other while the import is open, and no more keys than were announced. */
export function decideChunk(state: ImportState | null, { number, rows }: { readonly number: number; readonly rows: number }): Verdict {
  if (state === null) return refuse('IMPORT_NOT_BEGUN');
  if (state.sealed) return refuse('IMPORT_SEALED');
  if (number !== state.next) return refuse('IMPORT_CHUNK_ORDER', { expected: state.next, number });
  return state.count + rows > state.keys ? refuse('STATE_ROOT_DIFFERS', { keys: state.keys }) : ALLOW;
}

/** Whole, the same as announced, and the same as the caller read. */
export function decideSeal(state: ImportState | null, root: Digest): Verdict {
  if (state === null) return refuse('IMPORT_NOT_BEGUN');
  if (state.sealed) return refuse('IMPORT_SEALED');
  return state.count === state.keys && state.running === state.root && root === state.root ? ALLOW : refuse('STATE_ROOT_DIFFERS', { keys: state.keys, count: state.count });
}

/** Live as soon as everybody who runs a peer has found the root. */
export function sealAfter(state: ImportState, caller: OrgId, peers: readonly OrgId[]): ImportState {
  const sealedBy = [...state.sealedBy.filter((org) => org !== caller), caller];
  return { ...state, sealedBy, sealed: peers.every((org) => sealedBy.includes(org)) };
}
