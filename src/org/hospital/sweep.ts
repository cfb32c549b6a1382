/** The check that never ends: a page of records at a time, slowly, so that a changed record is found without anybody asking. */
import type { Log } from '#base/ports.ts';
import type { RecordId } from '#model/ids.ts';
import type { Metrics } from '../metrics.ts';
import { judge, type TamperDeps } from './tamper-check.ts';

const PAGE = 100;

export interface Sweep {
  /** Checks the next page; starts over after the last. */
  step(): Promise<void>;
  /** Share of the store's records that the present round has checked, 0 to 1. */
  coverage(): number;
}

export interface SweepDeps extends TamperDeps {
  readonly total: () => Promise<number>;
  readonly metrics: Metrics;
  readonly log: Log;
}

export function createSweep(deps: SweepDeps): Sweep {
  let after: string | undefined;
  let inRound = 0;
  let coverage = 0;
  return {
    coverage: () => coverage,
    async step() {
      const page = await deps.records.scan({ limit: PAGE, ...(after === undefined ? {} : { after }) });
      const anchored = page.filter((record) => record.state !== 'stored');
      const { anchors } = anchored.length === 0 ? { anchors: [] } : await deps.hdc.evaluate('getAnchors', { ids: anchored.map(({ id }) => id as RecordId) });
      const standing = new Map(anchors.map(({ id, state }) => [id as string, state]));
      for (const record of anchored) {
        const finding = await judge(deps, record, standing.get(record.id));
        if (finding === 'good') continue;
        deps.metrics.count('healthkeep_tampered_records_total', { finding });
        deps.log('error', 'sweep.found', { record: record.id, finding });
      }
      inRound += page.length;
      after = page.length < PAGE ? undefined : page.at(-1)?.id;
      const total = await deps.total();
      coverage = after === undefined ? 1 : Math.min(1, inRound / Math.max(1, total));
      if (after === undefined) inRound = 0;
      deps.metrics.set('healthkeep_sweep_coverage_ratio', coverage);
      deps.metrics.count('healthkeep_swept_records_total', {}, page.length);
    },
  };
}
