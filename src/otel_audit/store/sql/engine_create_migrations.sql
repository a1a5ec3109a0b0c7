-- Which migrations have been applied, with the SHA-256 (hex) of the file as it was then.
CREATE TABLE IF NOT EXISTS audit_migrations
(
    version UInt32,
    name String,
    sha256 String,
    applied_at DateTime64(9, 'UTC')
)
ENGINE = MergeTree
ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
