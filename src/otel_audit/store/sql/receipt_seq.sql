-- The first entry under a record id.
SELECT seq
FROM audit_entries
WHERE origin = {origin:String} AND event_id = {event_id:String}
ORDER BY seq
LIMIT 1
