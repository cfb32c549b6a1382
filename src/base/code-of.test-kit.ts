/** Which code a call refuses with. */
import { isCoded } from './errors.ts';

/** The code of what the call throws; text that matches no code when it throws something else or nothing. */
export function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return isCoded(error) ? error.code : `uncoded: ${String(error)}`;
  }
  return 'nothing thrown';
}

/** The same for a promise. */
export async function codeOfAsync(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
  } catch (error) {
    return isCoded(error) ? error.code : `uncoded: ${String(error)}`;
  }
  return 'nothing thrown';
}
