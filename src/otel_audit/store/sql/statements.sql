-- The signed statements that entries of the trail itself carry, of one type, wherever they are.
SELECT seq, attributes[{attribute:String}] AS statement
FROM audit_entries
WHERE origin = {origin:String} AND event_type = {event_type:String} AND record_kind = 'internal'
ORDER BY seq
