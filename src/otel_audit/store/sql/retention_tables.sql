-- The tables that are partitioned by retention class and month: entries, and what holds their texts.
SELECT name
FROM system.tables
WHERE database = currentDatabase() AND partition_key = '(retention_class, toYYYYMM(recorded_at))'
ORDER BY name
