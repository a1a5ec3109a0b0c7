-- The newest reviews of Filter.figure = 'quick', and in `total` how many there are: found once for both.
SELECT
    e.origin AS origin, e.seq AS seq, e.task_id AS task_id, e.task_kind AS task_kind, e.decision AS decision,
    toUnixTimestamp64Nano(e.end_time) AS end_time, assumeNotNull(e.duration_ms) / 1000 AS seconds,
    count() OVER () AS total
FROM audit_entries AS e
WHERE true /*filter*/
ORDER BY e.end_time DESC, e.origin, e.seq
LIMIT {limit:UInt64}
