/** The transactions of every channel kind in one place: input and output schema, access row and event, joined by name. */
import type { z } from 'zod';
import { accessTable } from '#model/access.ts';
import { conInputs } from '#model/con.ts';
import { drcInputs } from '#model/drc.ts';
import { ledgerEvents } from '#model/events.ts';
import { hdcInputs } from '#model/hdc.ts';
import type { ChannelKind } from '#model/orgs.ts';
import { uicInputs } from '#model/uic.ts';
import { conOutputs, drcOutputs, hdcOutputs, uicOutputs } from './outputs.ts';

export const catalogue = {
  uic: { inputs: uicInputs, outputs: uicOutputs, access: accessTable.uic, events: ledgerEvents.uic },
  hdc: { inputs: hdcInputs, outputs: hdcOutputs, access: accessTable.hdc, events: ledgerEvents.hdc },
  drc: { inputs: drcInputs, outputs: drcOutputs, access: accessTable.drc, events: ledgerEvents.drc },
  con: { inputs: conInputs, outputs: conOutputs, access: accessTable.con, events: ledgerEvents.con },
} as const;

type Catalogue = typeof catalogue;
type Schema<T> = T extends z.ZodType ? z.output<T> : never;

/** For one kind its own names; for a union of kinds the names of all of them (a name means the same wherever it occurs). */
export type TransactionName<K extends ChannelKind> = K extends ChannelKind ? keyof Catalogue[K]['inputs'] & keyof Catalogue[K]['outputs'] & string : never;
export type Input<K extends ChannelKind, N extends string> = K extends ChannelKind ? (N extends keyof Catalogue[K]['inputs'] ? Schema<Catalogue[K]['inputs'][N]> : never) : never;
export type Output<K extends ChannelKind, N extends string> = K extends ChannelKind ? (N extends keyof Catalogue[K]['outputs'] ? Schema<Catalogue[K]['outputs'][N]> : never) : never;
/** The transactions that write have an event, the others have none. */
export type SubmitName<K extends ChannelKind> = K extends ChannelKind ? TransactionName<K> & keyof Catalogue[K]['events'] : never;
export type EvaluateName<K extends ChannelKind> = K extends ChannelKind ? Exclude<TransactionName<K>, SubmitName<K>> : never;
