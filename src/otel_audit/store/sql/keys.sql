-- Statements of the key store (SQLite: store/key_store.py).
-- name: add_secret
INSERT OR IGNORE INTO secrets (name, value) VALUES ('scope', :value)
-- name: secret
SELECT value FROM secrets WHERE name = 'scope'
-- name: key_of_scope
SELECT key_id, key FROM keys WHERE scope = :scope AND key IS NOT NULL
-- name: add_key
INSERT INTO keys (key_id, scope, key, created) VALUES (:key_id, :scope, :key, :created)
-- name: key
SELECT key FROM keys WHERE key_id = :key_id
-- name: destroy_key
UPDATE keys SET key = NULL, destroyed_at = :now WHERE key_id = :key_id AND key IS NOT NULL
-- name: add_task
INSERT OR IGNORE INTO tasks (task, subject) VALUES (:task, :subject)
-- name: subject_of_task
SELECT subject FROM tasks WHERE task = :task ORDER BY rowid LIMIT 1
-- name: tasks_of_subject
SELECT task FROM tasks WHERE subject = :subject
-- name: add_erasure
INSERT OR IGNORE INTO erasures (name, plan, begun) VALUES (:name, :plan, :begun)
-- name: finish_erasure
UPDATE erasures SET done = :now WHERE name = :name
-- name: erasures
SELECT name, plan, done FROM erasures ORDER BY begun, rowid
