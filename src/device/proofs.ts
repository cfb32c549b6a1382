/** A file by which an outsider can check one record without anybody's server (verifier/). */
import type { LeafProof } from '#api/endpoints.ts';
import type { OrgId, RecordId } from '#model/ids.ts';
import type { Context } from './context.ts';
import { pairwiseSigner } from './links.ts';
import { keeperApi, networkMap } from './organisations.ts';
import { placedRecord } from './records.ts';

export interface ProofFile {
  readonly kind: 'healthkeep-proof';
  readonly version: 1;
  readonly record: {
    readonly id: RecordId;
    readonly keeper: OrgId;
    readonly subject: string;
    readonly resourceType: string;
    readonly class: string;
    readonly contentDigest: string;
    readonly verificationKey: string;
    readonly commitment: string;
    readonly signature: string;
    readonly certificate: string;
  };
  readonly anchor: LeafProof;
  readonly pinned: LeafProof;
  readonly members: readonly { readonly org: OrgId; readonly rootCertificate: string }[];
}

/** Asks the keeper for the paths and puts the rest from the own list, so that the keeper cannot choose what is proven. */
export async function proofOf(context: Context, id: RecordId): Promise<ProofFile> {
  const { keeper, subject, certificate, held } = await placedRecord(context, id);
  const api = await keeperApi(context, keeper, await pairwiseSigner(context, keeper));
  const { anchor, pinned } = await api.recordProof({ params: { record: id } });
  const { members } = await networkMap(context);
  const { resourceType, digest, verificationKey, commitment, signature } = held.row;
  return {
    kind: 'healthkeep-proof',
    version: 1,
    record: { id, keeper, subject, resourceType, class: held.class ?? '', contentDigest: digest, verificationKey, commitment, signature, certificate },
    anchor,
    pinned,
    members: members.map(({ org, rootCertificate }) => ({ org, rootCertificate })),
  };
}
