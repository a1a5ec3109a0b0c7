-- Newest first. A review is shown when it was decided, everything else when it began.
SELECT
/*columns*/
FROM audit_entries AS e
WHERE true /*filter*/
ORDER BY if(e.event_type = 'review', e.end_time, e.event_time) DESC, e.origin DESC, e.seq DESC
LIMIT {per_page:UInt64} OFFSET {offset:UInt64}
