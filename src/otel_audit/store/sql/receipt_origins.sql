-- The ledgers that have an audit record.
SELECT DISTINCT origin
FROM audit_entries
WHERE event_id = {event_id:String}
ORDER BY origin
