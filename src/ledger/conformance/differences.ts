/** What differs between the two engines, and why: the one list. Its table in the documents is made from it (`differences.test.ts`). */

export interface Difference {
  readonly id: string;
  readonly what: string;
  readonly embedded: string;
  readonly fabric: string;
  readonly why: string;
}

export const differences = [
  { id: 'operator', what: 'Who runs it', embedded: 'One process, one operator, who holds every peer\'s key', fabric: 'Each organisation its peer, several of them the orderers', why: 'It is meant for one operator; members keep checkpoints against that one' },
  { id: 'blocks', what: 'When a block is cut', embedded: 'When nobody is on the way any more, at the latest after 8 ms', fabric: 'When it is full or its timer ends (50–2,000 ms)', why: 'Who orders and who endorses are one process here and know what is coming' },
  { id: 'heights', what: 'What another member reads right after a commit', embedded: 'The same state', fabric: 'What its own peer has got so far', why: 'One state file for all members' },
  { id: 'dissemination', what: 'Private values on their way', embedded: 'There at commit; `requiredPeerCount` means nothing', fabric: 'Gossip between the members\' peers, before and after commit', why: 'One process holds the values of every member whose peer key it has' },
  { id: 'private-key-policy', what: 'Endorsement policy of one private key', embedded: 'Refused at the call', fabric: 'Kept, and asked at commit', why: 'No contract of ours uses it; a collection may have a policy on both' },
  { id: 'definition', what: 'Defining a contract', embedded: 'One transaction, endorsed by the attached peers', fabric: 'Approvals per organisation, then the commit', why: 'The committed keys and the policy over them are the same; approvals live with each peer' },
  { id: 'in-process', what: 'Where a contract runs', embedded: 'In the ledger\'s process, or in another like on Fabric', fabric: 'In another process', why: 'Speed for one operator; both ways give the same bytes' },
  { id: 'client-signature', what: 'What a contract in another process gets of the proposal', embedded: 'Its bytes; the peer has checked the signature', fabric: 'Its bytes and the signature', why: 'No shim checks it again' },
  { id: 'batched-calls', what: 'Batched reads and writes of a shim (Fabric 3.1)', embedded: 'Not offered, so shims send one call at a time', fabric: 'Offered since 3.1', why: 'The protocol of 2.5 is spoken' },
  { id: 'large-ranges', what: 'A large range in a read set', embedded: 'Every key and version', fabric: 'A summary of hashes from 51 keys on', why: 'Both protect the same; a summary saves bytes of blocks and costs hashing at every check' },
  { id: 'rich-queries', what: 'Rich queries', embedded: 'Refused, as by LevelDB', fabric: 'With CouchDB as state database', why: 'They have no protection at commit; contracts keep their own indexes' },
  { id: 'stricter-port', what: 'An empty key, an empty private value, a page of no rows', embedded: 'Refused, from any shim', fabric: 'Pass from Node\'s shim; our served contracts refuse them themselves', why: 'Each is a bug in waiting, and Go\'s shim refuses the first' },
  { id: 'time-window', what: 'A client\'s claimed time', embedded: 'Any, inside its certificate\'s life', fabric: 'Any in 2.5; within 15 minutes from 3.0 on', why: 'The contracts keep a floor of time of their own' },
] as const satisfies readonly Difference[];

export type DifferenceId = (typeof differences)[number]['id'];

/** The table as Markdown. */
export function differencesTable(): string {
  return ['| | Embedded ledger | Fabric | Why |', '| --- | --- | --- | --- |', ...differences.map(({ what, embedded, fabric, why }) => `| ${what} | ${embedded} | ${fabric} | ${why} |`)].join('\n');
}
