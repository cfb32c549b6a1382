/** Which records a template asks for: decided on the owner's device, the same on every client (golden fixtures in the test). */
import type { RecordRow } from '../messages.ts';
import type { RecordId } from '../ids.ts';
import type { RequestTemplate, TemplateSelection } from '../template.ts';

/** What resolving needs of a record. */
export type ResolvableRow = Pick<RecordRow, 'id' | 'resourceType' | 'codes' | 'date' | 'replaces'>;

/**
 * The record ids that a template asks for, ascending, each once. A record that a newer version replaces is not asked
 * for. `since` is inclusive; records without a date do not match a bound and come last for `latest`.
 */
export function resolveTemplate(template: Pick<RequestTemplate, 'select'>, rows: readonly ResolvableRow[]): readonly RecordId[] {
  const replaced = new Set(rows.map((row) => row.replaces));
  const current = [...new Map(rows.filter((row) => !replaced.has(row.id)).map((row) => [row.id, row])).values()];
  const chosen = new Set(template.select.flatMap((selection) => resolveSelection(selection, current)));
  return [...chosen].sort();
}

function resolveSelection(selection: TemplateSelection, rows: readonly ResolvableRow[]): readonly RecordId[] {
  const matching = rows.filter((row) => matches(selection, row)).sort(newestFirst);
  return matching.slice(0, selection.latest ?? matching.length).map((row) => row.id);
}

function matches({ resourceType, codes, since }: TemplateSelection, row: ResolvableRow): boolean {
  if (row.resourceType !== resourceType) return false;
  if (codes.length > 0 && !row.codes.some((code) => codes.includes(code))) return false;
  return since === undefined || (row.date !== undefined && row.date >= since);
}

/** By date, newest first, undated last; equal dates by id, so that every client chooses the same. */
function newestFirst(left: ResolvableRow, right: ResolvableRow): number {
  const leftDate = left.date ?? '';
  const rightDate = right.date ?? '';
  if (leftDate !== rightDate) return leftDate > rightDate ? -1 : 1;
  return left.id < right.id ? -1 : 1;
}
