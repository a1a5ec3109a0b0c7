-- Single rows of a ledger, for verification.
SELECT
    seq,
    prev_hash,
    hash,
    formatRow(
        'RowBinary',
        -- include: entry_encoding.sql
    ) AS encoding
FROM audit_entries
WHERE origin = {origin:String} AND seq IN {seqs:Array(UInt64)}
ORDER BY seq
