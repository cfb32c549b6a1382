/** The SQLite twin of `RecordStore`: one file; every write is one transaction that is on disk when it resolves. */
import { CodedError } from '#base/errors.ts';
import type { HeldRecord, LogLine, RecordStore, StoredDelivery, StoredRecord } from './ports.ts';
import { heldDelivery, heldRecord, logLine, RECORD_MIGRATIONS, STATES, RECORD_STORE_ID, storedSubject, type DeliveryTableRow, type LineTableRow, type RecordTableRow, type SubjectTableRow } from './record-tables.ts';
import { openSqlite, type Sqlite } from './sqlite.ts';

type Value = string | number | Uint8Array | null;
type Methods<Names extends keyof RecordStore> = Pick<RecordStore, Names>;

/** Opens or creates the file (`:memory:` for a store that dies with the process). Throws STORE_CORRUPT, STORE_LOCKED, STORE_NEWER. */
export function openSqliteRecordStore(file: string): RecordStore {
  const sqlite = openSqlite({ file, applicationId: RECORD_STORE_ID, migrations: RECORD_MIGRATIONS, pageCacheKib: 32_768 });
  const tables = statements(sqlite);
  let closed = false;
  return {
    ...subjects(tables),
    ...recordWrites(tables),
    ...recordReads(tables),
    ...deliveries(tables),
    ...accessLines(tables),
    async close() {
      if (closed) return;
      closed = true;
      sqlite.close();
    },
  };
}

interface Tables {
  readonly sqlite: Sqlite;
  one<Row>(sql: string, ...values: readonly Value[]): Row | undefined;
  all<Row>(sql: string, ...values: readonly Value[]): readonly Row[];
  run(sql: string, ...values: readonly Value[]): number;
}

/** Statements are prepared once per text. */
function statements(sqlite: Sqlite): Tables {
  const prepared = new Map<string, ReturnType<typeof sqlite.db.prepare>>();
  const of = (sql: string): ReturnType<typeof sqlite.db.prepare> => {
    let statement = prepared.get(sql);
    if (statement === undefined) prepared.set(sql, (statement = sqlite.db.prepare(sql)));
    return statement;
  };
  return {
    sqlite,
    one: <Row>(sql: string, ...values: readonly Value[]) => sqlite.read(() => of(sql).get(...values) as Row | undefined),
    all: <Row>(sql: string, ...values: readonly Value[]) => sqlite.read(() => of(sql).all(...values) as unknown as readonly Row[]),
    run: (sql, ...values) => Number(of(sql).run(...values).changes),
  };
}

function subjects({ sqlite, one, all, run }: Tables): Methods<'subjectFor' | 'subject' | 'subjectsOfOwner' | 'putOwner' | 'unconfirmedSubjects'> {
  return {
    async subjectFor(patientTag, newId) {
      const find = (): SubjectTableRow | undefined => one<SubjectTableRow>('SELECT * FROM subject WHERE patient = ?', patientTag);
      const found = find();
      if (found !== undefined) return storedSubject(found);
      sqlite.transact(() => run('INSERT INTO subject (id, patient) VALUES (?, ?) ON CONFLICT (patient) DO NOTHING', newId, patientTag));
      return storedSubject(find() as SubjectTableRow);
    },
    async subject(id) {
      const row = one<SubjectTableRow>('SELECT * FROM subject WHERE id = ?', id);
      return row === undefined ? undefined : storedSubject(row);
    },
    async subjectsOfOwner(pairwiseId) {
      return all<SubjectTableRow>('SELECT * FROM subject WHERE owner = ? ORDER BY id', pairwiseId).map(storedSubject);
    },
    async putOwner(subject, owner) {
      sqlite.transact(() => {
        const before = one<SubjectTableRow>('SELECT * FROM subject WHERE id = ?', subject);
        if (owner === undefined) run('UPDATE subject SET owner = NULL, key = NULL, hpke = NULL, mailbox = NULL, org = NULL, link = NULL, confirmed = 0 WHERE id = ?', subject);
        else run('UPDATE subject SET owner = ?, key = ?, hpke = ?, mailbox = ?, org = ?, link = ?, confirmed = ? WHERE id = ?', owner.pairwiseId, owner.key, owner.hpkePublicKey, owner.mailbox, owner.org, owner.linkDigest, owner.confirmed ? 1 : 0, subject);
        const sameAddress = before?.owner === null || (owner !== undefined && before?.mailbox === owner.mailbox && Buffer.compare(before.hpke, owner.hpkePublicKey) === 0);
        if (!sameAddress) run('UPDATE delivery SET owner_key = NULL, noticed = 0 WHERE subject = ?', subject);
      });
    },
    async unconfirmedSubjects(limit) {
      return all<SubjectTableRow>('SELECT * FROM subject WHERE owner IS NOT NULL AND confirmed = 0 ORDER BY id LIMIT ?', limit).map(storedSubject);
    },
  };
}

function recordWrites(tables: Tables): Methods<'addDeliveries' | 'markAnchored' | 'moveAnchors' | 'shred'> {
  const { sqlite, one, run } = tables;
  return {
    async addDeliveries(batch) {
      sqlite.transact(() => {
        for (const delivery of batch.deliveries) insertDelivery(tables, delivery);
        for (const record of batch.records) insertRecord(tables, record, batch.replaces.get(record.id));
      });
    },
    async markAnchored(ids, anchor) {
      sqlite.transact(() => {
        const finished = new Map<string, number>();
        for (const id of ids) {
          const row = one<{ delivery: string }>('UPDATE record SET state = 1, tx = ?, block = ? WHERE id = ? AND state = 0 RETURNING delivery', anchor.txId, anchor.blockNumber, id);
          if (row !== undefined) finished.set(row.delivery, (finished.get(row.delivery) ?? 0) + 1);
        }
        for (const [delivery, count] of finished) run('UPDATE delivery SET waiting = waiting - ? WHERE id = ?', count, delivery);
      });
    },
    async moveAnchors(places) {
      return sqlite.transact(() => {
        let moved = 0;
        for (const [id, anchor] of places) moved += run('UPDATE record SET tx = ?, block = ? WHERE id = ? AND state = 1', anchor.txId, anchor.blockNumber, id);
        return moved;
      });
    },
    async shred(ids) {
      sqlite.transact(() => {
        for (const id of ids) {
          const row = one<{ state: number; delivery: string }>('SELECT state, delivery FROM record WHERE id = ?', id);
          if (row === undefined || row.state === 2) continue;
          if (row.state === 0) run('UPDATE delivery SET waiting = waiting - 1 WHERE id = ?', row.delivery);
          run('DELETE FROM current WHERE record = ? AND (subject, source) = (SELECT subject, source FROM record WHERE id = ?)', id, id);
          run("UPDATE record SET state = 2, source = '', tag = x'', keys = x'', row = x'', commitment = x'', signature = x'', size = 0 WHERE id = ?", id);
        }
      });
      sqlite.scrub();
    },
  };
}

function insertDelivery({ run }: Tables, delivery: StoredDelivery): void {
  const { id, subject, createdAt, count, signer, keyForVault, keyForOwner } = delivery;
  run('INSERT INTO delivery (id, subject, created, count, signer, vault_key, owner_key, waiting) VALUES (?, ?, ?, ?, ?, ?, ?, ?)', id, subject, createdAt, count, signer, keyForVault, keyForOwner ?? null, count);
}

/** The version it replaces must still be the current one: two deliveries of one change at the same time must not both win. */
function insertRecord({ run }: Tables, record: StoredRecord, replaces: string | undefined): void {
  const { id, subject, delivery, position, sourceKey, contentTag, wrappedKeys, sealedRow, commitment, signature, cipherBytes, createdAt } = record;
  const address = record.address ?? null;
  const took =
    replaces === undefined
      ? run('INSERT INTO current (subject, source, record, address) VALUES (?, ?, ?, ?) ON CONFLICT (subject, source) DO NOTHING', subject, sourceKey, id, address)
      : run('UPDATE current SET record = ?, address = ? WHERE subject = ? AND source = ? AND record = ?', id, address, subject, sourceKey, replaces);
  if (took === 0) throw new CodedError('STORE_CONFLICT', 'Another version of the resource came in between.', { record: id });
  run(
    'INSERT INTO record (id, subject, delivery, position, source, tag, keys, row, commitment, signature, class, size, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    id, subject, delivery, position, sourceKey, contentTag, wrappedKeys, sealedRow, commitment, signature, record.class, cipherBytes, createdAt,
  );
}

function recordReads({ one, all }: Tables): Methods<'current' | 'byAddress' | 'pending' | 'records' | 'states' | 'scan' | 'recordsOf' | 'counts'> {
  const byId = (id: string): RecordTableRow | undefined => one<RecordTableRow>('SELECT * FROM record WHERE id = ?', id);
  return {
    async current(subject, sourceKeys) {
      const found = new Map<string, { readonly id: string; readonly sourceKey: string; readonly contentTag: HeldRecord['contentTag'] }>();
      for (const sourceKey of sourceKeys) {
        const row = one<RecordTableRow>('SELECT record.* FROM current JOIN record ON record.id = current.record WHERE current.subject = ? AND current.source = ?', subject, sourceKey);
        if (row !== undefined) found.set(sourceKey, { id: row.id, sourceKey, contentTag: row.tag });
      }
      return found;
    },
    async byAddress(addresses) {
      return addresses.flatMap((address) => all<{ address: string; subject: string; id: string }>('SELECT address, subject, record AS id FROM current WHERE address = ?', address));
    },
    async pending(limit, after) {
      const from = after === undefined ? 0 : (one<{ number: number }>('SELECT number FROM record WHERE id = ?', after)?.number ?? 0);
      return all<RecordTableRow>('SELECT * FROM record WHERE state = 0 AND number > ? ORDER BY number LIMIT ?', from, limit).map(heldRecord);
    },
    async records(ids) {
      const found = new Map<string, HeldRecord>();
      for (const id of ids) {
        const row = byId(id);
        if (row !== undefined) found.set(id, heldRecord(row));
      }
      return found;
    },
    async states(ids) {
      return new Map(ids.flatMap((id) => {
        const row = one<{ state: 0 | 1 | 2 }>('SELECT state FROM record WHERE id = ?', id);
        return row === undefined ? [] : [[id, STATES[row.state]] as const];
      }));
    },
    async scan({ after, limit }) {
      return all<RecordTableRow>('SELECT * FROM record WHERE id > ? ORDER BY id LIMIT ?', after ?? '', limit).map(heldRecord);
    },
    async recordsOf(delivery) {
      return all<RecordTableRow>('SELECT * FROM record WHERE delivery = ? AND state <> 2 ORDER BY position', delivery).map(heldRecord);
    },
    async counts() {
      const count = (sql: string): number => one<{ n: number }>(sql)?.n ?? 0;
      const total = count('SELECT count(*) AS n FROM record');
      const stored = count('SELECT count(*) AS n FROM record WHERE state = 0');
      const erased = count('SELECT count(*) AS n FROM record WHERE state = 2');
      return { stored, erased, anchored: total - stored - erased, deliveries: count('SELECT count(*) AS n FROM delivery'), subjects: count('SELECT count(*) AS n FROM subject') };
    },
  };
}

function deliveries({ sqlite, one, all, run }: Tables): Methods<'delivery' | 'deliveriesOf' | 'deliveriesToSeal' | 'putOwnerKeys' | 'noticesDue' | 'markNoticed'> {
  const numberOf = (delivery: string | undefined): number => (delivery === undefined ? 0 : (one<{ number: number }>('SELECT number FROM delivery WHERE id = ?', delivery)?.number ?? 0));
  return {
    async delivery(id) {
      const row = one<DeliveryTableRow>('SELECT * FROM delivery WHERE id = ?', id);
      return row === undefined ? undefined : heldDelivery(row);
    },
    async deliveriesOf(owned, { after, limit }) {
      const from = numberOf(after);
      const found = owned.flatMap((subject) => all<DeliveryTableRow>('SELECT * FROM delivery WHERE subject = ? AND number > ? AND waiting = 0 ORDER BY number LIMIT ?', subject, from, limit));
      return found.sort((left, right) => left.number - right.number).slice(0, limit).map(heldDelivery);
    },
    async deliveriesToSeal(limit) {
      return all<DeliveryTableRow>('SELECT delivery.* FROM subject CROSS JOIN delivery ON delivery.subject = subject.id AND delivery.owner_key IS NULL WHERE subject.owner IS NOT NULL AND subject.confirmed = 1 LIMIT ?', limit).map(heldDelivery);
    },
    async putOwnerKeys(keys) {
      sqlite.transact(() => {
        for (const [delivery, key] of keys) run('UPDATE delivery SET owner_key = ? WHERE id = ?', key, delivery);
      });
    },
    async noticesDue(limit, after) {
      return all<DeliveryTableRow>('SELECT * FROM delivery WHERE noticed = 0 AND waiting = 0 AND owner_key IS NOT NULL AND number > ? ORDER BY number LIMIT ?', numberOf(after), limit).map(heldDelivery);
    },
    async markNoticed(noticed) {
      sqlite.transact(() => {
        for (const delivery of noticed) run('UPDATE delivery SET noticed = 1 WHERE id = ?', delivery);
      });
    },
  };
}

function accessLines({ sqlite, one, all, run }: Tables): Methods<'appendLines' | 'lastLine' | 'lines'> {
  return {
    async appendLines(lines: readonly LogLine[]) {
      sqlite.transact(() => {
        for (const { sequence, subject, line, digest, head } of lines) run('INSERT INTO line (sequence, subject, line, digest, head) VALUES (?, ?, ?, ?, ?)', sequence, subject ?? null, line, digest, head);
      });
    },
    async lastLine() {
      const row = one<LineTableRow>('SELECT * FROM line ORDER BY sequence DESC LIMIT 1');
      return row === undefined ? undefined : logLine(row);
    },
    async lines(from, to) {
      return all<LineTableRow>('SELECT * FROM line WHERE sequence BETWEEN ? AND ? ORDER BY sequence', from, to).map(logLine);
    },
  };
}
