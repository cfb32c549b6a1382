/** From the gateway's words to ours: a fault becomes the contract's own CodedError, or a LEDGER_* one. */
import { CodedError, isCoded, type CodedErrorDetails } from '#base/errors.ts';
import { grpcCode, type GatewayFault } from './transport.ts';

/** The coded error inside a text that ends in `{"code":…,"message":…,"details":…}`, if there is one. */
export function codedErrorIn(text: string): CodedError | undefined {
  const start = text.indexOf('{"');
  if (start < 0) return undefined;
  try {
    const { code, message, details } = JSON.parse(text.slice(start)) as { code?: unknown; message?: unknown; details?: CodedErrorDetails };
    return typeof code === 'string' && typeof message === 'string' ? new CodedError(code, message, details ?? {}) : undefined;
  } catch {
    return undefined;
  }
}

/** After this fault of a submission the transaction may nevertheless be on its way. */
export function outcomeUnknown(fault: GatewayFault): boolean {
  return fault.code === grpcCode.unavailable || fault.code === grpcCode.deadlineExceeded || fault.code === grpcCode.cancelled || fault.code === grpcCode.internal;
}

/** Sentences by which peers and orderers refuse somebody, whatever the code (`internal/pkg/gateway`, `core/endorser`, `orderer/common` of Fabric 2.5). */
const refusesCaller = /access denied|client identity expired|failed evaluating policy|permission denied/;
const knowsNoChannel = /failed to get config for channel \[|Failed to get policy manager for channel \[/;
const tooLarge = /exceeds maximum allowed/;

/** The CodedError for a fault. */
export function errorOfFault(fault: GatewayFault): CodedError {
  const texts = [...fault.refusals.map((refusal) => refusal.message), fault.message];
  for (const text of texts) {
    const coded = codedErrorIn(text);
    if (coded !== undefined) return coded;
  }
  const why = texts[0] ?? fault.message;
  if (texts.some((text) => knowsNoChannel.test(text))) return new CodedError('LEDGER_CHANNEL_UNKNOWN', 'There is no such channel on this ledger.', { why, next: 'Check the name of the channel and the address of the ledger.' }, { cause: fault });
  if (texts.some((text) => tooLarge.test(text))) return new CodedError('LEDGER_TOO_LARGE', 'The transaction is larger than the ledger takes.', { why, next: 'Send it in parts.' }, { cause: fault });
  if (fault.code === grpcCode.permissionDenied || fault.code === grpcCode.unauthenticated || texts.some((text) => refusesCaller.test(text))) {
    return new CodedError('LEDGER_ACCESS_DENIED', 'The ledger refused the caller.', { why, next: 'Use a certificate of a member of the channel that is valid and not revoked.' }, { cause: fault });
  }
  if (fault.code === grpcCode.unavailable || fault.code === grpcCode.deadlineExceeded || fault.code === grpcCode.cancelled) {
    return new CodedError('LEDGER_UNREACHABLE', 'The ledger cannot be reached.', { why, next: 'Check that the ledger runs, and try again.' }, { cause: fault });
  }
  return new CodedError('LEDGER_ENDORSEMENT_FAILED', 'The transaction was not endorsed.', { why, next: 'Read the reason; the same request would be refused again.' }, { cause: fault });
}

/** A transaction that is in a block, but invalid. */
export function refusedByBlock({ txId, code, blockNumber }: { readonly txId: string; readonly code: string; readonly blockNumber: number }): CodedError {
  if (code === 'MVCC_READ_CONFLICT' || code === 'PHANTOM_READ_CONFLICT') {
    return new CodedError('LEDGER_CONFLICT', 'What the transaction had read was changed by another before it was committed.', { why: code, next: 'Try again: the contract then sees the newer state.', txId, blockNumber, validationCode: code });
  }
  return new CodedError('LEDGER_INVALID', 'The transaction was judged invalid and changed nothing.', { why: code, next: 'Look up the validation code; the transaction stays in its block, marked.', txId, blockNumber, validationCode: code });
}

export const isConflict = (error: unknown): boolean => isCoded(error, 'LEDGER_CONFLICT');
