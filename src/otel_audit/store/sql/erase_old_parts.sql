-- Parts of the tables of texts that a mutation replaced and that are still on the disk.
SELECT count() FROM system.parts
WHERE database = currentDatabase() AND table IN ('audit_content', 'audit_sealed') AND NOT active
