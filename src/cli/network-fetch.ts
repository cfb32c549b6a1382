/** The network seam's real end: the platform's fetch, with a coded error where nobody answers. */
import { CodedError } from '#base/errors.ts';
import type { Fetch } from '#base/ports.ts';

/** @throws CodedError PEER_UNREACHABLE with the origin; aborts pass through. */
export const networkFetch: Fetch = async (request) => {
  try {
    return await fetch(request);
  } catch (cause) {
    if (request.signal.aborted) throw cause;
    throw new CodedError('PEER_UNREACHABLE', `Nobody answers at ${new URL(request.url).origin}.`, { why: 'The connection could not be made or broke.', next: 'Check that the process runs, then try again.' }, { cause });
  }
};
