/** One well-formed input for every transaction: what is refused with these is refused for the role or the state, not the form. */
import type { ChannelKind } from '#model/orgs.ts';
import type { PairwiseId, RecordId, Signature, SubjectId, GrantId, IndexTag, ChannelName } from '#model/ids.ts';
import { INDEX_ENTRY_BYTES } from '#model/messages.ts';
import type { Input, TransactionName } from './catalogue.ts';
import { answerInput, inviteInput, refOf, slotInput, templateOf } from './consortium.test-kit.ts';
import { day, digestOf, EAST, idOf, LAB, sealedOf, slotOf } from './network.test-kit.ts';

const slot = slotOf('sample');
const record = idOf<RecordId>('sample record');
const subject = idOf<SubjectId>('sample subject');
const grant = idOf<GrantId>('sample grant');
const template = templateOf('sample');
const channel = 'hdc-east' as ChannelName;
const floor = { at: day(1) };
const page = { bookmark: '', pageSize: 10 };

const move = {
  readState: { from: '', pageSize: 10 },
  getMove: {},
  freezeChannel: { freeze: true },
  beginImport: { source: { channel, height: 1, blockHash: digestOf('block'), checkpoint: 'note' }, root: digestOf('root'), keys: 1, format: 1 },
  importChunk: { number: 1, rows: [{ key: 'a', value: 'AAAA', policy: '' }] },
  sealImport: { root: digestOf('root') },
};

export const samples: { readonly [K in ChannelKind]: { readonly [N in TransactionName<K>]: Input<K, N> } } = {
  uic: {
    putEntry: { tag: digestOf('sample tag') as unknown as IndexTag, sealed: sealedOf(INDEX_ENTRY_BYTES) },
    getEntry: { tag: digestOf('sample tag') as unknown as IndexTag },
    listEntries: page,
    setTimeFloor: floor,
    ...move,
  },
  hdc: {
    linkOwner: { subject, owner: idOf<PairwiseId>('sample owner'), key: digestOf('owner key'), linkDigest: digestOf('link') },
    anchorRecords: { anchors: [{ id: record, subject, commitment: digestOf('commitment'), signature: 's'.repeat(96) as Signature, class: 'clinical' }] },
    getAnchors: { ids: [record] },
    listAnchors: page,
    getOwner: { subject },
    orderRelease: {
      grant, grantDigest: digestOf('grant'), subject, items: [record], recipient: LAB, recipientKeyDigest: digestOf('key'), purpose: 'research', until: day(20), eraseAt: day(40), slot,
    },
    revokeRelease: { grant },
    recordRelease: { grant, manifestDigest: digestOf('manifest'), items: [record], recipientKeyDigest: digestOf('key') },
    getOrder: { grant },
    logAccess: { from: 0, to: 4, head: digestOf('head') },
    getAccessHead: {},
    orderErasure: { subject, items: [record] },
    recordErasure: { items: [record], receiptDigest: digestOf('receipt') },
    setTimeFloor: floor,
    ...move,
  },
  drc: {
    publishTemplate: { template },
    getTemplate: { id: template.id, version: 1 },
    listTemplates: {},
    openSlot: slotInput('sample', [refOf(template)]),
    withdrawSlot: { slot },
    reportSlot: { slot, reason: 'pressure' },
    invite: inviteInput(slot, refOf(template)),
    respond: answerInput(slot),
    revokeGrant: { slot },
    putReceipt: { slot, packageDigest: digestOf('package'), delivered: 1, verified: 1, keepers: [{ org: EAST, items: 1 }] },
    putErasure: { slot, reason: 'early', receiptDigest: digestOf('receipt') },
    getSlot: { slot },
    listSlots: page,
    settle: { number: 1 },
    getStatement: { number: 1 },
    setTimeFloor: floor,
    ...move,
  },
  con: {
    found: { members: [{ org: EAST, name: 'East', rootCertificate: '-----BEGIN CERTIFICATE-----', url: 'https://east.example', hpkePublicKey: 'k' }] },
    getMembers: {},
    updateMember: { name: 'East', url: 'https://east.example', hpkePublicKey: 'k' },
    propose: { id: 'sample', kind: 'template', digest: digestOf('sample'), title: 'A sample', deadline: day(9) },
    vote: { id: 'sample', choice: 'yes' },
    getProposal: { id: 'sample' },
    isAccepted: { kind: 'template', digest: digestOf('sample') },
    putCheckpoint: { channel, size: 1, root: digestOf('root'), height: 1, blockHash: digestOf('block'), note: 'note' },
    getCheckpoint: { channel, org: EAST },
    findCheckpoint: { channel, org: EAST, size: 1 },
    setTimeFloor: floor,
    ...move,
  },
};
