/** What belongs to whom: the caller's subjects, and the checks that every owner's endpoint begins with. Unknown and other people's things look alike. */
import type { HttpCaller } from '#api/caller.ts';
import { toBase64url } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { SubjectId } from '#model/ids.ts';
import type { Person } from './people.ts';
import type { HeldDelivery, HeldRecord, RecordStore, StoredOwner } from '#store/ports.ts';

export interface Owners {
  /** The subjects the caller owns here, confirmed on the channel. Throws NOT_OWNER when there is none. */
  subjects(caller: HttpCaller): Promise<ReadonlySet<string>>;
  /** Throws NOT_OWNER, RECORD_ERASED. */
  record(caller: HttpCaller, id: string): Promise<HeldRecord & { readonly subject: SubjectId }>;
  /** A delivery whose records are all anchored. Throws NOT_OWNER. */
  delivery(caller: HttpCaller, id: string): Promise<HeldDelivery & { readonly keyForOwner: Uint8Array }>;
}

export function createOwners({ records }: { readonly records: Pick<RecordStore, 'subjectsOfOwner' | 'records' | 'delivery'> }): Owners {
  const subjects = async (caller: HttpCaller): Promise<ReadonlySet<string>> => {
    const owned = (await records.subjectsOfOwner(caller.name)).filter(({ owner }) => isOwner(owner, caller));
    if (owned.length === 0) throw notOwner();
    return new Set(owned.map(({ id }) => id));
  };
  return {
    subjects,
    async record(caller, id) {
      const owned = await subjects(caller);
      const record = (await records.records([id])).get(id);
      if (record === undefined || !owned.has(record.subject)) throw notOwner();
      if (record.state === 'erased') throw new CodedError('RECORD_ERASED', 'The record was erased.', { record: id });
      return { ...record, subject: record.subject as SubjectId };
    },
    async delivery(caller, id) {
      const owned = await subjects(caller);
      const delivery = await records.delivery(id);
      if (delivery === undefined || !owned.has(delivery.subject) || !delivery.anchored || delivery.keyForOwner === undefined) throw notOwner();
      return { ...delivery, keyForOwner: delivery.keyForOwner };
    },
  };
}

/** The confirmed owner: pseudonym and key of the desk, and the organisation that vouched. A name alone is what any certificate authority can write. */
export function isOwner(owner: StoredOwner | undefined, person: Person): boolean {
  return owner?.confirmed === true && owner.org === person.org && owner.pairwiseId === person.name && toBase64url(owner.key) === person.key;
}

function notOwner(): CodedError {
  return new CodedError('NOT_OWNER', 'There is nothing of the caller\'s here.');
}
