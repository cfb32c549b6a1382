/** The tables of one channel's file. Keys are blobs so that their order is that of UTF-8 bytes, NUL included. */

/** `hkch`: marks a file as a channel (https://www.sqlite.org/pragma.html#pragma_application_id). */
export const APPLICATION_ID = 0x686b6368;

/** Written into `PRAGMA user_version`. Older files are brought here by upgrade.ts; newer ones are refused rather than guessed at. */
export const SCHEMA_VERSION = 2;

/** Since format 2: what a block's bytes were when they were written (block-digest.ts). */
export const digestTable = 'CREATE TABLE digests (block INTEGER PRIMARY KEY, digest BLOB NOT NULL) STRICT;';

export const schema = `
CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, bytes BLOB NOT NULL) STRICT;
CREATE TABLE transactions (tx_id TEXT PRIMARY KEY, block INTEGER NOT NULL, tx INTEGER NOT NULL, code INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE state (namespace TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, block INTEGER NOT NULL, tx INTEGER NOT NULL, policy BLOB, PRIMARY KEY (namespace, key)) STRICT, WITHOUT ROWID;
CREATE INDEX state_with_policy ON state (namespace) WHERE policy IS NOT NULL;
CREATE TABLE history (namespace TEXT NOT NULL, key BLOB NOT NULL, block INTEGER NOT NULL, tx INTEGER NOT NULL, PRIMARY KEY (namespace, key, block, tx)) STRICT, WITHOUT ROWID;
CREATE TABLE hashes (namespace TEXT NOT NULL, collection TEXT NOT NULL, key_hash BLOB NOT NULL, value_hash BLOB NOT NULL, block INTEGER NOT NULL, tx INTEGER NOT NULL, expires INTEGER, PRIMARY KEY (namespace, collection, key_hash)) STRICT, WITHOUT ROWID;
CREATE TABLE private (namespace TEXT NOT NULL, collection TEXT NOT NULL, key BLOB NOT NULL, key_hash BLOB NOT NULL, value BLOB NOT NULL, block INTEGER NOT NULL, tx INTEGER NOT NULL, expires INTEGER, PRIMARY KEY (namespace, collection, key)) STRICT, WITHOUT ROWID;
CREATE INDEX private_by_hash ON private (namespace, collection, key_hash);
CREATE INDEX private_by_expiry ON private (expires) WHERE expires IS NOT NULL;
CREATE INDEX hashes_by_expiry ON hashes (expires) WHERE expires IS NOT NULL;
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
${digestTable}
PRAGMA user_version = ${SCHEMA_VERSION};
`;
