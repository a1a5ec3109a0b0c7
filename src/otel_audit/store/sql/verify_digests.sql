-- All rows of a ledger in order, for verification, each with its leaf hash as the engine computes it: 0x00 and RFC 6962
-- say what is hashed. Of another schema version the hash is 32 zero bytes: such a row is looked at closely.
-- The settings are here, because the embedded engine streams no query that gets any beside it. One thread reads: several
-- such queries run side by side where that is wanted.
SELECT
    seq,
    prev_hash,
    hash,
    if(schema_version = 1, SHA256(concat(char(0), formatRow(
        'RowBinary',
        -- include: entry_encoding.sql
    ))), toFixedString('', 32)) AS computed
FROM audit_entries
WHERE origin = {origin:String} AND seq >= {first:UInt64} AND seq <= {last:UInt64}
ORDER BY seq
SETTINGS max_threads = 1, max_block_size = 8192
