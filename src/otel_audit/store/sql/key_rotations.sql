-- The entries of the trail itself that rotate the ledger's key, with the signed statement in each.
SELECT seq, attributes[{statement:String}] AS note
FROM audit_entries
WHERE origin = {origin:String} AND event_type = 'key_rotation' AND record_kind = 'internal'
ORDER BY seq
