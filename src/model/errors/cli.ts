import type { ErrorRow } from '../errors.ts';

/** Codes of the room `cli/`. */
export const cliErrors = {
  USAGE_COMMAND: { status: 400, issue: 'invalid', exit: 2, sentence: 'There is no such command.', next: 'Run healthkeep --help.', retry: false },
  USAGE_OPTION: { status: 400, issue: 'invalid', exit: 2, sentence: 'An option is missing or not understood.', next: 'Run the command with --help.', retry: false },
  USAGE_ARGUMENT: { status: 400, issue: 'invalid', exit: 2, sentence: 'An argument is missing or too many.', next: 'Run the command with --help.', retry: false },
  INPUT_FOLDER_EMPTY: { status: 400, issue: 'not-found', exit: 2, sentence: 'The folder holds no bundle.', next: 'Name a folder with .json or .json.gz files.', retry: false },
  INPUT_UNREADABLE: { status: 400, issue: 'not-found', exit: 2, sentence: 'The file or folder cannot be read.', next: 'Check the name and the permissions.', retry: false },
  OUTPUT_NOT_WRITABLE: { status: 400, issue: 'no-store', exit: 2, sentence: 'The file cannot be written.', next: 'Check the name and the permissions, or name another file.', retry: false },
  PORT_REFUSED: { status: 503, issue: 'exception', exit: 3, sentence: 'The port cannot be used.', next: 'Choose another port with --port.', retry: false },
  FOLDER_NOT_WRITABLE: { status: 503, issue: 'no-store', exit: 3, sentence: 'The folder for the state cannot be written.', next: 'Choose another place with --folder.', retry: false },
  PORT_IN_USE: { status: 503, issue: 'conflict', exit: 3, sentence: 'The port is taken by another program.', next: 'Choose another port with --port, or stop the other program.', retry: true },
  ORG_NOT_HERE: { status: 404, issue: 'not-found', exit: 2, sentence: 'The network of this folder has no such organisation.', next: 'Run healthkeep doctor --folder DIR to see the members.', retry: false },
  PEER_UNREACHABLE: { status: 503, issue: 'transient', exit: 5, sentence: 'The organisation or ledger does not answer.', next: 'Check that the process runs, then try again.', retry: true },
  DEVICE_FOLDER_EMPTY: { status: 404, issue: 'not-found', exit: 2, sentence: 'The folder holds no device.', next: 'Name a folder such as demo/people/1.', retry: false },
  CRL_NOT_PUBLISHED: { status: 503, issue: 'incomplete', exit: 5, sentence: 'The revocation list is not on the channels yet.', next: 'It is tried again every minute; start the process that runs the ledger.', retry: true },
  FOLDER_IN_USE: { status: 503, issue: 'conflict', exit: 3, sentence: 'Another process works in this folder.', next: 'Stop it, or choose another --folder.', retry: true },
  FOLDER_NOT_A_NETWORK: { status: 400, issue: 'not-found', exit: 3, sentence: 'The folder holds no healthkeep network.', next: 'Run healthkeep demo --folder DIR first.', retry: false },
  CONFIG_INVALID: { status: 400, issue: 'invalid', exit: 3, sentence: 'The configuration is not valid.', next: 'Correct the key that is named.', retry: false },
  RECOMPUTE_FAILED: { status: 500, issue: 'exception', exit: 6, sentence: 'The independent settlement script failed.', next: 'Run node verifier/settle.ts on the dump of DRC.', retry: false },
  CHECK_FAILED: { status: 500, issue: 'invariant', exit: 6, sentence: 'A check of the story did not hold.', next: 'Look at the checks that say held: false.', retry: false },
  TAMPERING_FOUND: { status: 500, issue: 'invariant', exit: 6, sentence: 'Stored records differ from their anchors.', next: 'Restore the records that are named from a backup and check again.', retry: false },
  ITEMS_BAD: { status: 500, issue: 'invariant', exit: 6, sentence: 'Items of a package are not what their hospital signed.', next: 'Do not use them; ask their hospitals.', retry: false },
} as const satisfies Record<string, ErrorRow>;
