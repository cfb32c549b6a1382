/** What the data user asks of DRC and CON with its system key, beyond what the contracts' clients say themselves. */
import { isCoded } from '#base/errors.ts';
import { conClient, drcClient, type ContractClient } from '#contracts/client.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import type { CheckpointState } from '#model/con.ts';
import type { SlotState, Statement, TemplateState } from '#model/drc.ts';
import type { SlotTag } from '#model/ids.ts';
import type { TemplateRef } from '#model/template.ts';
import type { CheckpointPlace } from './anchor-proof.ts';

export interface DrcCalls {
  readonly submit: ContractClient<'drc'>['submit'];
  /** Throws SLOT_UNKNOWN for a slot that is not the organisation's. */
  slot(slot: SlotTag): Promise<SlotState>;
  /** Throws TEMPLATE_UNKNOWN. */
  template(ref: Pick<TemplateRef, 'id' | 'version'>): Promise<TemplateState>;
  /** Throws STATEMENT_UNKNOWN. */
  statement(number: number): Promise<Statement>;
  /** The smallest checkpoint of that member on CON that covers the size; undefined when there is none. */
  checkpoint(place: CheckpointPlace): Promise<CheckpointState | undefined>;
}

export function createDrcCalls({ ledger, signer }: { readonly ledger: LedgerClient; readonly signer: LedgerSigner }): DrcCalls {
  const drc = drcClient(ledger, signer);
  const con = conClient(ledger, signer);
  return {
    submit: drc.submit,
    slot: (slot) => drc.evaluate('getSlot', { slot }),
    template: ({ id, version }) => drc.evaluate('getTemplate', { id, version }),
    statement: (number) => drc.evaluate('getStatement', { number }),
    checkpoint: ({ channel, org, size }) =>
      con.evaluate('findCheckpoint', { channel, org, size }).catch((error: unknown) => {
        if (isCoded(error, 'CHECKPOINT_UNKNOWN')) return undefined;
        throw error;
      }),
  };
}
