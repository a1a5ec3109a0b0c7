-- Which tables are there: one that was dropped counts as empty, not as an error.
SELECT name
FROM system.tables
WHERE database = currentDatabase()
