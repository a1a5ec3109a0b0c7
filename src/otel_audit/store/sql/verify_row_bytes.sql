-- All rows of a range of a ledger in order, for verification: what their hashes are over, and the hashes.
-- The settings are here, because the embedded engine streams no query that gets any beside it. One thread reads: several
-- such queries run side by side where that is wanted.
SELECT
    -- include: entry_encoding.sql
    , hash
FROM audit_entries
WHERE origin = {origin:String} AND seq >= {first:UInt64} AND seq <= {last:UInt64}
ORDER BY seq
SETTINGS max_threads = 1, max_block_size = 8192
