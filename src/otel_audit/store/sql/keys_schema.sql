-- The key store (SQLite). Scopes are keyed hashes; a destroyed key is NULL, and its id stays.
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS keys
(
    key_id BLOB PRIMARY KEY,
    scope BLOB NOT NULL,
    key BLOB,
    created INTEGER NOT NULL,
    destroyed_at INTEGER
);
CREATE UNIQUE INDEX IF NOT EXISTS one_key_in_use ON keys (scope) WHERE key IS NOT NULL;
CREATE TABLE IF NOT EXISTS tasks (task BLOB NOT NULL, subject BLOB NOT NULL, UNIQUE (task, subject));
CREATE INDEX IF NOT EXISTS by_subject ON tasks (subject);
CREATE TABLE IF NOT EXISTS erasures (name TEXT PRIMARY KEY, plan TEXT NOT NULL, begun INTEGER NOT NULL, done INTEGER);
