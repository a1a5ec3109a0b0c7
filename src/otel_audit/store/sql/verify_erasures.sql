-- The erasures that a ledger tells of, wherever they are.
SELECT seq, attributes[{attribute:String}] AS statement
FROM audit_entries
WHERE origin = {origin:String} AND event_type = 'erasure' AND record_kind = 'internal'
ORDER BY seq
