/** What a data user asks of a keeper with its ticket: manifest, proofs, items. The grant is looked at before every piece. */
import { CodedError } from '#base/errors.ts';
import type { Log } from '#base/ports.ts';
import type { HttpCaller } from '#api/caller.ts';
import type { hospitalEndpoints } from '#api/endpoints.ts';
import type { Handlers } from '#api/handlers.ts';
import type { GrantId } from '#model/ids.ts';
import type { BlobStore } from '#store/ports.ts';
import { accessor, type About, type Audit } from './audit.ts';
import { codeOf } from './background.ts';
import { usableBy, type GrantRow, type Grants } from './grants.ts';
import type { Liveness } from './liveness.ts';
import type { Proofs } from './proofs.ts';
import { rangeOf, transferResponse } from './transfer.ts';

export interface RecipientParts {
  readonly bodies: BlobStore;
  readonly grants: Grants;
  readonly liveness: Liveness;
  readonly proofs: Proofs;
  readonly audit: Audit;
  readonly log: Log;
}

type RecipientHandlers = Pick<Handlers<typeof hospitalEndpoints>, 'manifest' | 'releaseProofs' | 'item'>;

export function recipientHandlers(parts: RecipientParts): RecipientHandlers {
  const { bodies, grants, liveness, proofs, audit, log } = parts;
  const usable = async (grant: GrantId, caller: HttpCaller, headers: Headers, note: (about: About) => void): Promise<GrantRow> => {
    const row = await grants.get(grant);
    // Whose records were asked for is logged also when the asking is refused.
    if (row !== undefined) note({ grant: row.grant, subject: row.subject, purpose: row.purpose });
    const granted = usableBy(row, caller.org, headers.get('healthkeep-ticket'));
    await liveness.check(granted);
    return granted;
  };
  return {
    manifest: ({ caller, params, headers }) =>
      audit.on({ caller, action: 'list', purpose: 'release' }, async (note) => {
        const row = await usable(params.grant, caller, headers, note);
        note({ records: row.items.length });
        return row.manifest;
      }),
    async releaseProofs({ caller, params, headers }) {
      const row = await usable(params.grant, caller, headers, () => undefined);
      return { proofs: [...(await proofs.anchors(row.items))] };
    },
    item: ({ caller, params, headers, signal }) =>
      audit.on({ caller, action: 'transfer', purpose: 'release' }, async (note) => {
        const row = await usable(params.grant, caller, headers, note);
        const item = row.items.find(({ id }) => id === params.record);
        if (item === undefined) throw new CodedError('GRANT_UNKNOWN', 'There is no such grant for this recipient.');
        note({ records: 1 });
        const size = await bodies.size(item.id);
        if (size === undefined) throw new CodedError('RECORD_ERASED', 'The record was erased.', { record: item.id });
        return transferResponse({
          record: item.id,
          size,
          range: rangeOf(headers.get('range'), size),
          bodies,
          signal,
          live: () => liveness.check(row),
          watch: (cut) => grants.watch(row.grant, () => cut(new CodedError('GRANT_REVOKED', 'The owner revoked this grant.', { grant: row.grant }))),
          ended: (how, because) => {
            if (how !== 'cut') return;
            audit
              .line({ ...accessor(caller), action: 'transfer', subject: row.subject, records: 1, purpose: row.purpose, grant: row.grant, outcome: 'cut', code: because?.code ?? 'INTERNAL' })
              .catch((error: unknown) => log('error', 'access-log.unwritten', { code: codeOf(error) }));
          },
        });
      }),
  };
}
