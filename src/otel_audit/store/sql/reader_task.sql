-- A task's entries in the order of its story: a review when it was decided, everything else when it began.
SELECT
/*columns*/
FROM audit_entries AS e
WHERE e.task_id = {task_id:String} /*filter*/
ORDER BY if(e.event_type = 'review', e.end_time, e.event_time), e.origin, e.seq
