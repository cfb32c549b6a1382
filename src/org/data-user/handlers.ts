/** The data user's endpoints: each is a few words to the part that does the work. */
import { CodedError } from '#base/errors.ts';
import type { Clock } from '#base/ports.ts';
import type { dataUserEndpoints } from '#api/endpoints.ts';
import type { Handlers } from '#api/handlers.ts';
import { milliseconds, type RecordId, type SlotTag } from '#model/ids.ts';
import type { Bytes } from '#base/bytes.ts';
import type { Board } from './board.ts';
import { requireGranted, type Erasures } from './erasure.ts';
import type { Packages } from './packages.ts';
import type { DrcProofs } from './proofs.ts';
import type { Received } from './receive.ts';
import type { Requests } from './requests.ts';
import type { OwnSlots } from './slots.ts';
import { statementCsv, wantsCsv, type Statements } from './statements.ts';
import type { Templates } from './templates.ts';

export interface HandlerParts {
  readonly slots: OwnSlots;
  readonly templates: Templates;
  readonly requests: Requests;
  readonly packages: Packages;
  readonly erasures: Erasures;
  readonly statements: Statements;
  readonly proofs: DrcProofs;
  readonly board: Board;
  readonly receive: (slot: SlotTag) => Promise<Received>;
  readonly clock: Clock;
}

export function dataUserHandlers(parts: HandlerParts): Handlers<typeof dataUserEndpoints> {
  const { slots, templates, requests, erasures, statements, proofs } = parts;
  return {
    proposeTemplate: ({ body }) => templates.propose(body.template),
    board: async () => ({ rows: [...(await parts.board.rows())] }),
    async invite({ params, body }) {
      await requests.invite({ slot: params.slot, ...body });
      return { slot: params.slot };
    },
    async receive({ params }) {
      const { items, short, packageDigest } = await parts.receive(params.slot);
      return { items: [...items], ...(short.length > 0 && { short: [...short] }), packageDigest };
    },
    read: async ({ params }) => readItem(parts, params),
    async eraseNow({ params }) {
      requireGranted(params.slot, (await slots.known(params.slot)).facts);
      await erasures.eraseNow(params.slot);
      return { done: true as const };
    },
    settle: () => statements.settle(),
    async statement({ params, headers }) {
      const statement = await statements.get(params.number);
      if (!wantsCsv(headers.get('accept'))) return statement;
      return new Response(statementCsv(statement), { headers: { 'content-type': 'text/csv; charset=utf-8; header=present', 'content-disposition': `attachment; filename="statement-${statement.number}.csv"` } });
    },
    drcProof: ({ query }) => proofs.proofOf(query.slot),
  };
}

/** A received record, for as long as the owner allows: the clock and the ledger are asked before the store is. */
async function readItem({ slots, packages, erasures, clock }: HandlerParts, { slot, record }: { readonly slot: SlotTag; readonly record: RecordId }): Promise<Response> {
  const { facts } = await slots.known(slot);
  const over = facts.phase === 'revoked' || (facts.answer !== undefined && facts.answer.decision !== 'no' && milliseconds(facts.answer.eraseAt) <= clock.now());
  if (over || (await erasures.erased(slot))) throw new CodedError('ITEM_ERASED', 'What was received in this slot was erased.', { slot });
  const item = await packages.read(slot, record);
  if (item === undefined) throw new CodedError('ITEM_UNKNOWN', 'There is no such received item.', { slot, record });
  return new Response(item.bytes as Bytes, { headers: { 'content-type': 'application/fhir+json', 'content-length': String(item.bytes.length) } });
}
