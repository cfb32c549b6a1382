import type { ErrorRow } from '../errors.ts';

/** Codes of the room `base/` and of what no room expected. */
export const baseErrors = {
  INTERNAL: { status: 500, issue: 'exception', exit: 1, sentence: 'Something went wrong inside healthkeep.', next: 'Look up the trace id in the log of this organisation.', retry: false },
  INTERNAL_INVARIANT: { status: 500, issue: 'exception', exit: 1, sentence: 'A state that cannot happen was found; the process stopped.', next: 'Report the code and time; nothing was changed.', retry: false },
  BYTES_NOT_UTF8: { status: 400, issue: 'invalid', exit: 2, sentence: 'The bytes are not valid UTF-8 text.', next: 'Send the text as UTF-8.', retry: false },
  BYTES_NOT_BASE64URL: { status: 400, issue: 'invalid', exit: 2, sentence: 'The text is not unpadded base64url.', next: 'Encode the bytes by RFC 4648 section 5 without padding.', retry: false },
  BYTES_NOT_HEX: { status: 400, issue: 'invalid', exit: 2, sentence: 'The text is not hexadecimal.', next: 'Send an even number of the digits 0-9 and a-f.', retry: false },
  JSON_NOT_CANONICAL: { status: 400, issue: 'value', exit: 2, sentence: 'The value cannot be written as canonical JSON.', next: 'Use finite numbers and well-formed text only.', retry: false },
  JSON_MALFORMED: { status: 400, issue: 'invalid', exit: 2, sentence: 'The text is not JSON.', next: 'Look at the line and column named; a file cut off during a transfer often ends early.', retry: false },
  JSON_TOO_DEEP: { status: 400, issue: 'too-long', exit: 2, sentence: 'Objects and arrays of the JSON text stand too deep inside each other.', next: 'Flatten the document; no health record needs this depth.', retry: false },
  JSON_DUPLICATE_KEY: { status: 400, issue: 'structure', exit: 2, sentence: 'A name stands twice in one object of the JSON text.', next: 'Remove one of the two; readers would disagree on which one counts.', retry: false },
  JSON_TOO_LARGE: { status: 413, issue: 'too-long', exit: 2, sentence: 'The JSON text is larger than healthkeep reads at once.', next: 'Split it into several smaller ones.', retry: false },
} as const satisfies Record<string, ErrorRow>;
