/** What a person asks of a keeper under the pairwise certificate: lists, records, proofs, log, erasure, orders. */
import { fromUtf8, toBase64url } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { KeyValueStore } from '#base/ports.ts';
import type { hospitalEndpoints, LeafProof } from '#api/endpoints.ts';
import type { Handlers } from '#api/handlers.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { instant, type DeliveryId, type Digest, type GrantId, type OrgId, type RecordId, type SubjectId } from '#model/ids.ts';
import type { BlobStore, RecordStore } from '#store/ports.ts';
import type { AccessLog } from './access-log.ts';
import type { Audit } from './audit.ts';
import type { HdcChannel } from './channel.ts';
import type { Erasures } from './erasure.ts';
import type { Grants } from './grants.ts';
import { noticeOf } from './notices.ts';
import type { Owners } from './owners.ts';
import type { Proofs } from './proofs.ts';
import type { Releases } from './release.ts';
import { rangeOf, transferResponse } from './transfer.ts';

const DELIVERIES_MAX = 500;
const OWN_ACCESS = 'own access';

export interface OwnerParts {
  readonly keeper: OrgId;
  readonly records: RecordStore;
  readonly bodies: BlobStore;
  readonly store: KeyValueStore;
  readonly signer: LedgerSigner;
  readonly owners: Owners;
  readonly audit: Audit;
  readonly accessLog: AccessLog;
  /** The log's head in the channel's tree; undefined before the first. */
  readonly headProof: () => Promise<LeafProof | undefined>;
  readonly hdc: HdcChannel;
  readonly proofs: Proofs;
  readonly releases: Releases;
  readonly grants: Grants;
  readonly erasures: Erasures;
}

type OwnerHandlers = Pick<Handlers<typeof hospitalEndpoints>, 'deliveries' | 'deliveryList' | 'record' | 'recordProof' | 'anchors' | 'accessLog' | 'release' | 'revokeRelease' | 'erase'>;

export function ownerHandlers(parts: OwnerParts): OwnerHandlers {
  return { ...listHandlers(parts), ...recordHandlers(parts), ...orderHandlers(parts) };
}

function listHandlers({ keeper, records, store, signer, owners, audit, accessLog, headProof, hdc }: OwnerParts): Pick<OwnerHandlers, 'deliveries' | 'deliveryList' | 'accessLog'> {
  return {
    async deliveries({ caller, query }) {
      const owned = [...(await owners.subjects(caller))];
      const found = await records.deliveriesOf(owned, { limit: DELIVERIES_MAX, ...(query.after === undefined ? {} : { after: query.after }) });
      return { deliveries: found.map((delivery) => noticeOf(keeper, delivery)) };
    },
    deliveryList: ({ caller, params }) =>
      audit.on({ caller, action: 'list', purpose: OWN_ACCESS }, async (note) => {
        const delivery = await owners.delivery(caller, params.delivery);
        const rows = (await records.recordsOf(delivery.id)).flatMap((record) => (record.anchor === undefined ? [] : [{ id: record.id as RecordId, row: toBase64url(record.sealedRow), ...record.anchor }]));
        note({ subject: delivery.subject as SubjectId, records: rows.length });
        return {
          deliveryKey: toBase64url(delivery.keyForOwner),
          delivery: delivery.id as DeliveryId,
          subject: delivery.subject as SubjectId,
          createdAt: instant(delivery.createdAt),
          certificate: await signerCertificate({ store, signer }, delivery.signer),
          rows,
        };
      }),
    async accessLog({ caller, query }) {
      const view = await accessLog.view(await owners.subjects(caller), query.after);
      const head = await hdc.evaluate('getAccessHead', {});
      const proof = await headProof();
      return { lines: [...view.lines], chain: { ...view.chain, digests: [...view.chain.digests] }, head: head === null ? null : { to: head.to, head: head.head as Digest }, ...(proof === undefined ? {} : { proof }) };
    },
  };
}

/** The certificate that signed a delivery's commitments; an older one after a renewal. */
export async function signerCertificate({ store, signer }: { readonly store: KeyValueStore; readonly signer: LedgerSigner }, fingerprint: string): Promise<string> {
  const kept = await store.get(`signer/${fingerprint}`);
  return kept === undefined ? signer.certificate : fromUtf8(kept);
}

function recordHandlers(parts: OwnerParts): Pick<OwnerHandlers, 'record' | 'recordProof' | 'anchors'> {
  const { records, bodies, owners, audit, proofs, hdc } = parts;
  return {
    record: ({ caller, params, headers, signal }) =>
      audit.on({ caller, action: 'read', purpose: OWN_ACCESS }, async (note) => {
        const record = await owners.record(caller, params.record);
        note({ subject: record.subject, records: 1 });
        const size = await bodies.size(record.id);
        if (size === undefined || size !== record.cipherBytes) throw new CodedError('BODY_MISSING', 'The record\'s body is missing or shorter than it was.', { record: record.id });
        return transferResponse({ record: record.id, size, range: rangeOf(headers.get('range'), size), bodies, signal });
      }),
    async recordProof({ caller, params }) {
      const record = caller.role === 'person' ? await owners.record(caller, params.record) : (await records.records([params.record])).get(params.record);
      if (record?.anchor === undefined || record.state !== 'anchored') throw new CodedError('RECORD_NOT_ANCHORED', 'The record is not anchored.', { record: params.record });
      const [anchor] = await proofs.anchors([{ id: record.id as RecordId, blockNumber: record.anchor.blockNumber }]);
      if (anchor === undefined) throw new CodedError('RECORD_NOT_ANCHORED', 'The record is not anchored.', { record: params.record });
      const delivery = await records.delivery(record.delivery);
      return { anchor, pinned: await proofs.pinned(anchor), certificate: await signerCertificate(parts, delivery?.signer ?? '') };
    },
    async anchors({ caller, params }) {
      const { id } = await owners.record(caller, params.record);
      const { anchors } = await hdc.evaluate('getAnchors', { ids: [id as RecordId] });
      const anchor = anchors[0];
      if (anchor === undefined) throw new CodedError('RECORD_NOT_ANCHORED', 'The record is not anchored.', { record: params.record });
      const { subject, commitment, signature, class: recordClass } = anchor.state;
      return { id: anchor.id, subject, commitment, signature, class: recordClass };
    },
  };
}

function orderHandlers({ owners, audit, releases, grants, hdc, erasures }: OwnerParts): Pick<OwnerHandlers, 'release' | 'revokeRelease' | 'erase'> {
  return {
    release: ({ caller, body }) =>
      audit.on({ caller, action: 'release', purpose: 'order' }, async (note) => {
        const row = await releases.release(body, caller, (grant) => note({ grant: grant.id, subject: grant.subject, records: grant.items.length, purpose: grant.purpose }));
        return { grant: row.grant, items: row.items.length };
      }),
    revokeRelease: ({ caller, params }) =>
      audit.on({ caller, action: 'revoke', purpose: 'order' }, async (note) => {
        const subject = await ownerOfGrant({ grants, hdc, owners }, params.grant, caller);
        note({ grant: params.grant, subject });
        await grants.revoke(params.grant);
        return { done: true as const };
      }),
    erase: ({ caller, body }) =>
      audit.on({ caller, action: 'erase', purpose: 'order' }, async (note) => {
        const owned = await owners.subjects(caller);
        const { receipt, subject } = await erasures.erase(body.items, owned);
        note({ subject, records: body.items.length });
        return { receipt };
      }),
  };
}

/** The subject of a grant that the caller gave: by what was released here, else by the order on the channel. Throws NOT_OWNER. */
async function ownerOfGrant({ grants, hdc, owners }: Pick<OwnerParts, 'grants' | 'hdc' | 'owners'>, grant: GrantId, caller: Parameters<Owners['subjects']>[0]): Promise<SubjectId> {
  const owned = await owners.subjects(caller);
  const subject = (await grants.get(grant))?.subject ?? (await hdc.evaluate('getOrder', { grant }).catch(() => undefined))?.order.subject;
  if (subject === undefined || !owned.has(subject)) throw new CodedError('NOT_OWNER', 'There is no such grant of the caller\'s.');
  return subject;
}
