/** Rules of UIC: each entry once, each certificate once. */
import { ALLOW, refuse, type Verdict } from './verdict.ts';

/** A8. A second entry under one certificate would link the two; a second value for one tag would replace another's entry. */
export function decidePutEntry({ tagTaken, certificateUsed }: { readonly tagTaken: boolean; readonly certificateUsed: boolean }): Verdict {
  if (tagTaken) return refuse('ENTRY_EXISTS');
  if (certificateUsed) return refuse('CERTIFICATE_REUSED');
  return ALLOW;
}
