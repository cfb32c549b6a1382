/**
 * Counters, gauges and histograms in the Prometheus text format 0.0.4. Label values come from our own tables (endpoint
 * names, codes, channels), never from what a caller wrote: metrics must not become a place where data hides.
 */
import type { Answered } from '#api/router.ts';
import { errorTable } from '#model/errors.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Metrics {
  /** Adds to a counter; the name ends in `_total`. */
  count(name: string, labels?: Labels, by?: number): void;
  /** Sets a gauge. */
  set(name: string, value: number, labels?: Labels): void;
  /** Adds a duration in seconds to a histogram; the name ends in `_seconds`. */
  observe(name: string, seconds: number, labels?: Labels): void;
  text(): string;
}

const BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;
/** No family grows beyond this many label sets, whatever a mistake elsewhere does. */
const SERIES_MAX = 2_000;

interface Histogram {
  readonly buckets: number[];
  sum: number;
  count: number;
}

export function createMetrics(): Metrics {
  const values = new Map<string, { readonly kind: 'counter' | 'gauge'; readonly series: Map<string, number> }>();
  const histograms = new Map<string, Map<string, Histogram>>();

  const change = (kind: 'counter' | 'gauge', name: string, labels: Labels, next: (old: number) => number): void => {
    const family = values.get(name) ?? { kind, series: new Map<string, number>() };
    values.set(name, family);
    const key = labelText(labels);
    if (family.series.has(key) || family.series.size < SERIES_MAX) family.series.set(key, next(family.series.get(key) ?? 0));
  };

  return {
    count: (name, labels = {}, by = 1) => change('counter', name, labels, (old) => old + by),
    set: (name, value, labels = {}) => change('gauge', name, labels, () => value),
    observe(name, seconds, labels = {}) {
      const family = histograms.get(name) ?? new Map<string, Histogram>();
      histograms.set(name, family);
      const key = labelText(labels);
      const histogram = family.get(key) ?? { buckets: BUCKETS_SECONDS.map(() => 0), sum: 0, count: 0 };
      if (family.size < SERIES_MAX) family.set(key, histogram);
      BUCKETS_SECONDS.forEach((limit, at) => {
        if (seconds <= limit) histogram.buckets[at] = (histogram.buckets[at] as number) + 1;
      });
      histogram.sum += seconds;
      histogram.count += 1;
    },
    text: () => [...valueLines(values), ...histogramLines(histograms), ''].join('\n'),
  };
}

/** Counts each HTTP answer by endpoint name and code, and its time. */
export function observeHttp(metrics: Metrics): (answered: Answered) => void {
  return ({ endpoint, status, code, milliseconds }) => {
    const known = code === undefined || Object.hasOwn(errorTable, code);
    metrics.count('healthkeep_http_requests_total', { endpoint, status: String(status), code: known ? (code ?? '') : 'INTERNAL' });
    metrics.observe('healthkeep_http_request_seconds', milliseconds / 1_000, { endpoint });
  };
}

function* valueLines(values: ReadonlyMap<string, { readonly kind: string; readonly series: ReadonlyMap<string, number> }>): Iterable<string> {
  for (const [name, { kind, series }] of values) {
    yield `# TYPE ${name} ${kind}`;
    for (const [labels, value] of series) yield `${name}${braced(labels)} ${value}`;
  }
}

function* histogramLines(histograms: ReadonlyMap<string, ReadonlyMap<string, Histogram>>): Iterable<string> {
  for (const [name, series] of histograms) {
    yield `# TYPE ${name} histogram`;
    for (const [labels, { buckets, sum, count }] of series) {
      const comma = labels === '' ? '' : ',';
      for (const [at, limit] of BUCKETS_SECONDS.entries()) yield `${name}_bucket{${labels}${comma}le="${limit}"} ${buckets[at]}`;
      yield `${name}_bucket{${labels}${comma}le="+Inf"} ${count}`;
      yield `${name}_sum${braced(labels)} ${sum}`;
      yield `${name}_count${braced(labels)} ${count}`;
    }
  }
}

const braced = (labels: string): string => (labels === '' ? '' : `{${labels}}`);

function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replaceAll(/[\\"\n]/g, (one) => (one === '\n' ? '\\n' : `\\${one}`))}"`)
    .join(',');
}
