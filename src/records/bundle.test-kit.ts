/** What must hold of every file handed to the bundle reader, good or bad. */
import { fromUtf8 } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { errorTable } from '#model/errors.ts';
import { readBundle, type BundleReading } from './bundle.ts';

/** What does not hold: a refusal without a code of the table, an entry lost, changed, or without patient. Empty when all is well. */
export async function unsound(file: Uint8Array): Promise<readonly string[]> {
  let reading: BundleReading;
  try {
    reading = await readBundle(file);
  } catch (error) {
    return isCoded(error) && Object.hasOwn(errorTable, error.code) ? [] : [`refused without a code: ${String(error)}`];
  }
  const complaints: string[] = [];
  if (reading.entries.length + reading.refused.length !== reading.read) complaints.push('an entry is neither taken nor refused, or both');
  const whole = fromUtf8(file);
  for (const { bytes, resourceType, patients, index } of reading.entries) {
    const text = fromUtf8(bytes);
    if (!whole.includes(text)) complaints.push(`entry ${index} is not a slice of the file`);
    if ((JSON.parse(text) as { resourceType: string }).resourceType !== resourceType) complaints.push(`entry ${index} is of another type`);
    if (patients.length === 0) complaints.push(`entry ${index} has no patient`);
  }
  for (const { code } of reading.refused) if (!Object.hasOwn(errorTable, code)) complaints.push(`no row for ${code}`);
  return complaints;
}
