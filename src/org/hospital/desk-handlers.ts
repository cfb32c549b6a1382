/** What the keeper's own people and systems ask: take bundles, link patients, check the store. */
import { CodedError } from '#base/errors.ts';
import type { hospitalEndpoints } from '#api/endpoints.ts';
import type { Handlers } from '#api/handlers.ts';
import { accessor, type Audit } from './audit.ts';
import type { Ingest } from './ingest.ts';
import type { Linking } from './linking.ts';
import type { TamperReport } from './tamper-check.ts';

export interface DeskParts {
  readonly audit: Audit;
  readonly ingest: Ingest;
  readonly linking: Linking;
  readonly tamperCheck: () => Promise<TamperReport>;
}

type DeskHandlers = Pick<Handlers<typeof hospitalEndpoints>, 'link' | 'ingest' | 'tamperCheck'>;

export function deskHandlers({ audit, ingest, linking, tamperCheck }: DeskParts): DeskHandlers {
  let checking: Promise<TamperReport> | undefined;
  return {
    link: ({ caller, params, body }) =>
      audit.on({ caller, action: 'link', purpose: 'desk' }, async (note) => {
        const subject = await linking.link(params.patient, body.link);
        note({ subject });
        return { subject };
      }),
    async ingest({ caller, query, body }) {
      if (body.length === 0) throw new CodedError('FILE_EMPTY', 'The file is empty.');
      const report = await ingest.ingest(body, { by: accessor(caller), ...(query.file === undefined ? {} : { file: query.file }) });
      return { ...report, refused: [...report.refused], deliveries: [...report.deliveries], patients: [...report.patients] };
    },
    tamperCheck: ({ caller }) =>
      audit.on({ caller, action: 'check', purpose: 'integrity' }, async (note) => {
        // A second caller gets the check that is under way.
        const report = await (checking ??= tamperCheck().finally(() => (checking = undefined)));
        note({ records: report.checked });
        return { checked: report.checked, changed: [...report.changed], missing: [...report.missing], extra: [...report.extra] };
      }),
  };
}
