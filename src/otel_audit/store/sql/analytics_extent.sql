-- How many events, and the first and last event_time (0 when there is none).
SELECT count() AS events, toUnixTimestamp64Nano(min(e.event_time)) AS first_unix_nano,
       toUnixTimestamp64Nano(max(e.event_time)) AS last_unix_nano
FROM audit_entries AS e
WHERE e.event_type IN {types:Array(String)} AND e.duplicate_of = '' /*filter*/
