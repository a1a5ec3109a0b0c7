-- The newest entry of a ledger and how many rows it has: a sound ledger has newest seq + 1, less what
-- expired.
SELECT count() AS row_count, max(seq) AS newest_seq, argMax(hash, seq) AS newest_hash
FROM audit_entries
WHERE origin = {origin:String}
