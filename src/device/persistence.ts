/** Acts that must happen once although the device may stop between any two steps. */
import { isCoded } from '#base/errors.ts';
import { errorRow } from '#model/errors.ts';

/**
 * Runs an act; when it fails, asks whether its effect stands already (from before a stop, or because the answer was
 * lost). Throws the act's error when the effect does not stand or nobody can say.
 */
export async function once({ act, stands }: { readonly act: () => Promise<unknown>; readonly stands: () => Promise<boolean> }): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (await stands().catch(() => false)) return;
    throw error;
  }
}

/** May the same act succeed later? True for everything that is no clear refusal. */
export function passing(error: unknown): boolean {
  if (!isCoded(error)) return true;
  const row = errorRow(error.code);
  return row.retry || row.status >= 500 || row.status === 429;
}

/** The code of any error, for state and reports. */
export function codeOf(error: unknown): string {
  return isCoded(error) ? error.code : 'INTERNAL';
}
