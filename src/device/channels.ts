/** Typed access to the channels a person may use. */
import { drcClient, hdcClient, uicClient, type ContractClient } from '#contracts/client.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import type { OrgId } from '#model/ids.ts';
import type { Context } from './context.ts';

export function drc({ ledger }: Pick<Context, 'ledger'>, signer: LedgerSigner): ContractClient<'drc'> {
  return drcClient(ledger, signer);
}

/** Index entries carry the full hour before they were written: their time links nothing. */
export function uic(context: Pick<Context, 'ledger' | 'clock'>, signer: LedgerSigner): ContractClient<'uic'> {
  return uicClient(wholeHours(context), signer);
}

/** DRC for opening slots, whose times must not show which were opened together. */
export function drcByTheHour(context: Pick<Context, 'ledger' | 'clock'>, signer: LedgerSigner): ContractClient<'drc'> {
  return drcClient(wholeHours(context), signer);
}

export function hdc({ ledger }: Pick<Context, 'ledger'>, keeper: OrgId, signer: LedgerSigner): ContractClient<'hdc'> {
  return hdcClient(ledger, { keeper, signer });
}

const HOUR_MS = 3_600_000;

/** The last full hour, UTC milliseconds. */
export function wholeHour(milliseconds: number): number {
  return Math.floor(milliseconds / HOUR_MS) * HOUR_MS;
}

function wholeHours({ ledger, clock }: Pick<Context, 'ledger' | 'clock'>): LedgerClient {
  return { ...ledger, submit: (call) => ledger.submit({ ...call, timestamp: wholeHour(clock.now()) }) };
}
