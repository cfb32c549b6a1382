import type { ErrorRow } from '../errors.ts';

/** Codes of moving from one ledger to another and of losing one's voice, wherever they arise. */
export const moveErrors = {
  CHANNEL_FROZEN: { status: 409, issue: 'business-rule', exit: 4, sentence: 'The channel is frozen: its state is moving to another ledger, and nothing is written here any more.', next: 'Use the ledger that the channel moved to.', retry: false },
  CHANNEL_IMPORTING: { status: 409, issue: 'business-rule', exit: 4, sentence: 'The channel is taking in a state from another ledger and is not live yet.', next: 'Wait until every organisation with a peer has sealed the import.', retry: true },
  CHANNEL_NOT_EMPTY: { status: 409, issue: 'conflict', exit: 4, sentence: 'A state can be taken in on an empty channel only.', next: 'Use a channel on which nothing has been written.', retry: false },
  MOVE_NO_VOICE: { status: 403, issue: 'forbidden', exit: 4, sentence: 'Only organisations that run a peer on the channel decide about its move.', next: 'Ask one that does.', retry: false },
  IMPORT_BEGUN: { status: 409, issue: 'duplicate', exit: 4, sentence: 'An import into this channel has begun.', next: 'Read where it stands and go on from there.', retry: false },
  IMPORT_NOT_BEGUN: { status: 409, issue: 'business-rule', exit: 4, sentence: 'No import into this channel has begun.', next: 'Begin it with the root of the state.', retry: false },
  IMPORT_SEALED: { status: 409, issue: 'business-rule', exit: 4, sentence: 'The import into this channel is sealed; nothing can be taken in any more.', next: 'Nothing needs to be done.', retry: false },
  IMPORT_CHUNK_ORDER: { status: 409, issue: 'conflict', exit: 4, sentence: 'Chunks come one after the other.', next: 'Send the expected chunk.', retry: true },
  STATE_FORMAT_OTHER: { status: 409, issue: 'not-supported', exit: 4, sentence: 'The contract on this channel writes its state in another form.', next: 'Deploy the version of the contracts that the source runs, then upgrade.', retry: false },
  STATE_ROOT_DIFFERS: { status: 409, issue: 'invariant', exit: 6, sentence: 'The state that was taken in is not the state that was announced.', next: 'Do not use this channel; find out who changed what, then import into a new one.', retry: false },
  MOVE_TARGET_OTHER: { status: 409, issue: 'conflict', exit: 3, sentence: 'A channel of the target is not made like the source.', next: 'Correct the configuration of the target, then go on.', retry: false },
  MOVE_AGAIN: { status: 409, issue: 'not-supported', exit: 4, sentence: 'The channel came from another ledger itself; this version moves a channel once.', next: 'Stay on this ledger.', retry: false },
  ARCHIVE_BROKEN: { status: 500, issue: 'invariant', exit: 6, sentence: 'The archive of a channel is not what its chain says.', next: 'Take the archive of another member, or write it again from the source.', retry: false },
  MEMBER_SILENT: { status: 403, issue: 'forbidden', exit: 4, sentence: 'The caller\'s organisation is suspended or has left the consortium.', next: 'Ask a member to propose its reinstatement.', retry: false },
} as const satisfies Record<string, ErrorRow>;
