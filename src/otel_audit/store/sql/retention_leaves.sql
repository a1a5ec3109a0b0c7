-- The entries of a partition with their hashes, stored and computed anew, before they are removed.
SELECT
    seq,
    hash,
    if(schema_version = 1, SHA256(concat(char(0), formatRow(
        'RowBinary',
        -- include: entry_encoding.sql
    ))), toFixedString('', 32)) AS computed
FROM audit_entries
WHERE origin = {origin:String} AND retention_class = {retention_class:String}
    AND toYYYYMM(recorded_at) = {month:UInt32}
ORDER BY seq
