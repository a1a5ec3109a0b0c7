SELECT
    count() AS events,
    uniqExactIf(e.task_id, e.task_id != '') AS tasks,
    toUnixTimestamp64Nano(min(e.event_time)) AS first_unix_nano,
    toUnixTimestamp64Nano(max(e.event_time)) AS last_unix_nano
FROM audit_entries AS e
WHERE true /*filter*/
