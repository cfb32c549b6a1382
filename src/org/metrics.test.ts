import { describe, expect, it } from 'vitest';
import { createMetrics, observeHttp } from './metrics.ts';

describe('metrics', () => {
  it('are written in the Prometheus text format', () => {
    const metrics = createMetrics();
    metrics.count('a_total', { endpoint: 'map' });
    metrics.count('a_total', { endpoint: 'map' }, 2);
    metrics.set('b', 7);
    metrics.observe('c_seconds', 0.02, { endpoint: 'x' });
    metrics.observe('c_seconds', 20, { endpoint: 'x' });
    const text = metrics.text();
    expect(text).toContain('# TYPE a_total counter\na_total{endpoint="map"} 3\n');
    expect(text).toContain('# TYPE b gauge\nb 7\n');
    expect(text).toContain('c_seconds_bucket{endpoint="x",le="0.01"} 0');
    expect(text).toContain('c_seconds_bucket{endpoint="x",le="0.025"} 1');
    expect(text).toContain('c_seconds_bucket{endpoint="x",le="+Inf"} 2');
    expect(text).toContain('c_seconds_sum{endpoint="x"} 20.02\nc_seconds_count{endpoint="x"} 2');
    expect(text.endsWith('\n')).toBe(true);
  });

  it('quote label values', () => {
    const metrics = createMetrics();
    metrics.count('a_total', { x: 'a"b\\c\nd' });
    expect(metrics.text()).toContain('a_total{x="a\\"b\\\\c\\nd"} 1');
  });

  it('do not take a code that is not in the table, nor grow without end', () => {
    const metrics = createMetrics();
    observeHttp(metrics)({ endpoint: 'map', status: 400, code: 'JANE_DOE', milliseconds: 1 });
    expect(metrics.text()).toContain('code="INTERNAL"');
    for (let at = 0; at < 5_000; at++) metrics.count('a_total', { at: String(at) });
    expect(metrics.text().split('\n').filter((line) => line.startsWith('a_total')).length).toBe(2_000);
  });
});
