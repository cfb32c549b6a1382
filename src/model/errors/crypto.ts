import type { ErrorRow } from '../errors.ts';

/** Codes of the room `crypto/`. A refusal to open never says which of key, context or bytes was wrong. */
export const cryptoErrors = {
  KEY_INVALID: { status: 400, issue: 'invalid', exit: 2, sentence: 'The key cannot be read.', next: 'Send a key of the kind the interface names.', retry: false },
  KEY_LENGTH: { status: 400, issue: 'invalid', exit: 2, sentence: 'The key has the wrong length.', next: 'Use a key of the length the interface names.', retry: false },
  SEALED_REFUSED: { status: 400, issue: 'security', exit: 6, sentence: 'The sealed bytes could not be opened.', next: 'Fetch them again from where they are kept; if that fails too, ask their sender.', retry: false },
  PAD_TOO_SMALL: { status: 400, issue: 'too-long', exit: 2, sentence: 'The content does not fit its size class.', next: 'Shorten the content.', retry: false },
  PAD_INVALID: { status: 400, issue: 'invalid', exit: 6, sentence: 'The padding of sealed content is wrong.', next: 'Ask the sender to seal it again.', retry: false },
  ENVELOPE_REFUSED: { status: 400, issue: 'security', exit: 6, sentence: 'The envelope could not be opened.', next: 'Check that it was sealed for this key and purpose, or ask the sender to seal it again.', retry: false },
  ENVELOPE_SUITE: { status: 400, issue: 'not-supported', exit: 6, sentence: 'The envelope uses an encryption suite that is not accepted.', next: 'Ask the sender to seal it with the post-quantum hybrid suite.', retry: false },
  ENVELOPE_TOO_SMALL: { status: 400, issue: 'too-long', exit: 2, sentence: 'The content does not fit the envelope of its size class.', next: 'Shorten the content.', retry: false },
  BODY_REFUSED: { status: 400, issue: 'security', exit: 6, sentence: 'The encrypted record could not be opened.', next: 'Fetch it again from its keeper; if that fails too, report it to the keeper.', retry: false },
  BODY_TRUNCATED: { status: 400, issue: 'incomplete', exit: 6, sentence: 'The encrypted record is cut short.', next: 'Fetch it again; the transfer can continue where it stopped.', retry: true },
  BODY_RANGE: { status: 416, issue: 'value', exit: 2, sentence: 'The range lies outside the record.', next: 'Ask for bytes inside the record.', retry: false },
  DER_INVALID: { status: 400, issue: 'invalid', exit: 6, sentence: 'A certificate holds bytes that are not DER.', next: 'Send it as it was issued.', retry: false },
  CERTIFICATE_INVALID: { status: 400, issue: 'security', exit: 6, sentence: 'The certificate cannot be read.', next: 'Send an X.509 certificate with a P-256 key in PEM form.', retry: false },
  CSR_INVALID: { status: 400, issue: 'security', exit: 2, sentence: 'The certificate request is not valid.', next: 'Make a PKCS #10 request with a P-256 key and sign it with that key.', retry: false },
  CRL_INVALID: { status: 400, issue: 'security', exit: 6, sentence: 'The revocation list cannot be read.', next: 'Fetch it again from the organisation that issues it.', retry: false },
  SIGNATURE_INVALID: { status: 400, issue: 'security', exit: 6, sentence: 'The signature does not fit the signed content.', next: 'Ask the signer to sign exactly what is sent.', retry: false },
  REQUEST_UNSIGNED: { status: 401, issue: 'login', exit: 4, sentence: 'The request carries no signature that can be read.', next: 'Sign it by RFC 9421 as docs/protocol.md section 5 says.', retry: false },
  REQUEST_SIGNATURE_INVALID: { status: 401, issue: 'security', exit: 4, sentence: 'The request is not what its caller signed.', next: 'Sign method, address and content digest of exactly this request.', retry: false },
  REQUEST_STALE: { status: 401, issue: 'expired', exit: 4, sentence: 'The request was signed too long ago or in the future.', next: 'Set the clock of the calling machine and sign again.', retry: true },
  CHECKPOINT_INVALID: { status: 400, issue: 'invalid', exit: 6, sentence: 'The checkpoint note cannot be read.', next: 'Fetch it again from the organisation that wrote it.', retry: false },
  TREE_RANGE: { status: 400, issue: 'value', exit: 2, sentence: 'The tree has no such leaf or size.', next: 'Ask for a leaf and a size the tree has reached.', retry: true },
} as const satisfies Record<string, ErrorRow>;
