-- Where one entry stands among the matching ones in the order of reader_page, newest first, and what stands beside it.
-- One pass without sorting: an offset would cost the more the further down it stands. `here` is null for one that does not match.
WITH (
    SELECT (if(e.event_type = 'review', e.end_time, e.event_time), toString(e.origin), e.seq)
    FROM audit_entries AS e
    WHERE e.origin = {origin:String} AND e.seq = {seq:UInt64} /*filter*/
) AS here
SELECT
    count() AS total,
    countIf(place > here) AS above,
    countIf(place = here) AS found,
    minIf((place, task_id), place > here) AS newer,
    maxIf((place, task_id), place < here) AS older
FROM (
    SELECT (if(e.event_type = 'review', e.end_time, e.event_time), toString(e.origin), e.seq) AS place, e.task_id AS task_id
    FROM audit_entries AS e
    WHERE true /*filter*/
)
