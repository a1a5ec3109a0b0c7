-- Whether the current database has the table of applied migrations.
SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'audit_migrations'
