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
  { id: 'gateway-peer', what: 'Which peer answers first', embedded: 'That of the caller\'s organisation', fabric: 'That of the gateway\'s own organisation', why: 'One gateway serves all organisations' },
  { id: 'transient-orgs', what: 'Transient data without endorsing organisations', embedded: 'The caller\'s organisation, then as policies demand', fabric: 'Only the gateway\'s own organisation, else an error', why: 'No organisation is the gateway\'s own' },
  { id: 'submit-answer', what: 'When `Submit` answers', embedded: 'When the block is durable', fabric: 'When the orderer has the transaction', why: 'Ordering and commit are one step; the status is then there at once' },
  { id: 'refusal-reason', what: 'The reason of a refusal', embedded: 'After the peer\'s sentence, in the details', fabric: 'In the peer\'s log', why: 'Whoever is refused should know what to do' },
  { id: 'undecodable', what: 'A request that is not protobuf', embedded: '3 INVALID_ARGUMENT', fabric: '13 INTERNAL, from gRPC', why: 'It is the caller\'s fault' },
  { id: 'two-names', what: 'A header that names another chaincode than the input', embedded: 'Refused', fabric: 'The header\'s is run', why: 'Two names for one call serve nobody' },
  { id: 'private-events', what: 'Private data in block events', embedded: 'Values still current, to organisations named in the collection', fabric: 'Every value ever written until its blocks to live are over, to callers who fit the collection\'s policy', why: 'What is gone shall be gone; our collections name organisations' },
  { id: 'after-transaction', what: '`afterTransactionId` that is on no block', embedded: 'Events from the start block on', fabric: 'No event ever comes', why: 'Silence would look like health' },
  { id: 'busy', what: 'More calls than can be worked on', embedded: '96 at once per channel and a queue per organisation, then 8 RESOURCE_EXHAUSTED (`LEDGER_BUSY`)', fabric: '500 at once per gateway, then 2 UNKNOWN `too many requests`', why: 'One organisation\'s flood must not keep the others waiting' },
  { id: 'addresses', what: 'Addresses in details', embedded: '`peer.<msp id>:7051`, a name only', fabric: 'Host and port of each peer', why: 'All peers are in one process' },
  { id: 'orderer-blocks', what: 'Who may read blocks at an orderer', embedded: 'Nobody: no orderer delivers', fabric: 'Organisations with a peer in the channel (`/Channel/Readers`, stricter than Fabric\'s default)', why: 'Else the user organisation, a member of every hdc, could read a hospital\'s whole channel' },
  { id: 'joining', what: 'Making channels, joining peers, deploying', embedded: 'Calls of the engine', fabric: 'The network\'s own administration (`fabric/`, docs/fabric.md)', why: 'They lie outside the Gateway\'s interface' },
] as const satisfies readonly Difference[];

export type DifferenceId = (typeof differences)[number]['id'];

/** The table as Markdown. */
export function differencesTable(): string {
  return ['| | Embedded ledger | Fabric | Why |', '| --- | --- | --- | --- |', ...differences.map(({ what, embedded, fabric, why }) => `| ${what} | ${embedded} | ${fabric} | ${why} |`)].join('\n');
}
