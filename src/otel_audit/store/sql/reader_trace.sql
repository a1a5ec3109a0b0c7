SELECT
/*columns*/
FROM audit_entries AS e
WHERE e.trace_id = {trace_id:String} /*filter*/
ORDER BY e.event_time, e.origin, e.seq
