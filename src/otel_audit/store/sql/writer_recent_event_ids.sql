-- Identities of the newest entries: what the duplicate filter is filled with at start.
SELECT event_id
FROM audit_entries
WHERE origin = {origin:String} AND seq >= {start:UInt64}
