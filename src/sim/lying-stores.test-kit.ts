/**
 * A planted fault: the organisations' SQLite files say "committed" at once and commit some time later, as a store does that
 * acknowledges before it has written. Preloaded with `node --import`; the kill test must turn red with it. The ledger's
 * files are left alone: they have readers of their own, which would see the lie before any kill.
 */
import { DatabaseSync } from 'node:sqlite';

const LATE_MS = 400;
/** Files with work that was acknowledged and is not yet committed. */
const open = new Map<DatabaseSync, ReturnType<typeof setTimeout>>();
const inside = new Set<DatabaseSync>();
const exec = DatabaseSync.prototype.exec;
const close = DatabaseSync.prototype.close;

function commit(database: DatabaseSync): void {
  clearTimeout(open.get(database));
  if (open.delete(database)) exec.call(database, 'COMMIT');
}

DatabaseSync.prototype.exec = function (this: DatabaseSync, text: string): void {
  if (text === 'COMMIT' && inside.delete(this)) {
    if (!open.has(this)) open.set(this, setTimeout(() => commit(this), LATE_MS));
    exec.call(this, 'RELEASE late');
    return;
  }
  if (text === 'BEGIN IMMEDIATE' && this.location()?.includes('/orgs/') === true) {
    if (!open.has(this)) exec.call(this, text);
    exec.call(this, 'SAVEPOINT late');
    inside.add(this);
    return;
  }
  if (text === 'ROLLBACK' && inside.delete(this) && open.has(this)) {
    exec.call(this, 'ROLLBACK TO late; RELEASE late');
    return;
  }
  // Settings cannot be changed inside a transaction.
  if (text.startsWith('PRAGMA')) commit(this);
  exec.call(this, text);
};

DatabaseSync.prototype.close = function (this: DatabaseSync): void {
  commit(this);
  close.call(this);
};
