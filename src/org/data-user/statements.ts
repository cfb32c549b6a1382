/** Settlement (protocol C9) as this organisation asks for it, and statements as a table for a spreadsheet. */
import { z } from 'zod';
import { isCoded } from '#base/errors.ts';
import { Statement } from '#model/drc.ts';
import type { DrcCalls } from './drc-calls.ts';
import { csv } from './csv.ts';
import { createTurnstile } from '../turnstile.ts';
import type { Vault } from './vault.ts';

const Counter = z.strictObject({ last: z.int().min(0) });
const COUNTER = 'statements';

export interface Statements {
  /** Settles every unsettled receipt under the next number. Throws NOTHING_TO_SETTLE. */
  settle(): Promise<Statement>;
  /** Throws STATEMENT_UNKNOWN. */
  get(number: number): Promise<Statement>;
}

export function createStatements({ vault, drc }: { readonly vault: Vault; readonly drc: DrcCalls }): Statements {
  const exclusive = createTurnstile().run;
  return {
    get: (number) => drc.statement(number),
    settle: () =>
      exclusive('settle', async () => {
        const last = await lastNumber((await vault.get(COUNTER, Counter))?.last ?? 0, drc);
        const committed = await drc.submit('settle', { number: last + 1 });
        await vault.write(new Map([[COUNTER, { last: last + 1 }]]));
        return Statement.parse(committed.output);
      }),
  };
}

/** The last statement on the ledger: an earlier attempt may have been written without our knowing. */
async function lastNumber(known: number, drc: DrcCalls): Promise<number> {
  for (let number = known; ; number++) {
    const next = await drc.statement(number + 1).catch((error: unknown) => {
      if (isCoded(error, 'STATEMENT_UNKNOWN')) return undefined;
      throw error;
    });
    if (next === undefined) return number;
  }
}

/** The statement as CSV (RFC 4180), amounts in minor units; one row per answer and keeper share. */
export function statementCsv(statement: Statement): string {
  const head = ['statement', 'date', 'slot', 'template', 'version', 'items', 'currency', 'amount', 'owner', 'operator', 'keepers'];
  const rows = statement.lines.map((line) => [
    String(statement.number),
    statement.at,
    line.slot,
    line.template.id,
    String(line.template.version),
    String(line.items),
    statement.currency,
    line.amount,
    line.owner,
    line.operator,
    line.keepers.map(({ org, amount }) => `${org} ${amount}`).join('; '),
  ]);
  return csv([head, ...rows, ['total', statement.at, '', '', '', '', statement.currency, statement.total, '', '', '']]);
}

/** Does the caller prefer a table? */
export function wantsCsv(accept: string | null): boolean {
  return (accept ?? '').split(',').some((part) => part.trim().startsWith('text/csv'));
}

