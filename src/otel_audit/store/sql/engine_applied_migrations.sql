-- The migrations that have been applied; one may be there twice when two processes migrated at once.
SELECT DISTINCT version, name, sha256
FROM audit_migrations
ORDER BY version
