-- The same of tasks, each of which stands where its newest matching entry does.
WITH (
    SELECT max((if(e.event_type = 'review', e.end_time, e.event_time), toString(e.origin), e.seq))
    FROM audit_entries AS e
    WHERE e.task_id = {task_id:String} /*filter*/
) AS here
SELECT
    count() AS total,
    countIf(place > here) AS above,
    countIf(place = here) AS found,
    minIf((place, task_id), place > here) AS newer,
    maxIf((place, task_id), place < here) AS older
FROM (
    SELECT max((if(e.event_type = 'review', e.end_time, e.event_time), toString(e.origin), e.seq)) AS place, e.task_id AS task_id
    FROM audit_entries AS e
    WHERE e.task_id != '' /*filter*/
    GROUP BY e.task_id
)
