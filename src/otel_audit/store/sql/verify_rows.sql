-- All rows of a ledger in order, for verification, each with the bytes that its hash is over.
SELECT
    seq,
    prev_hash,
    hash,
    formatRow(
        'RowBinary',
        -- include: entry_encoding.sql
    ) AS encoding
FROM audit_entries
WHERE origin = {origin:String} AND seq >= {first:UInt64} AND seq <= {last:UInt64}
ORDER BY seq
