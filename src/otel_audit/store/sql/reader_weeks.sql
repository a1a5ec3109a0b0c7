-- Who did something in which week. Weeks begin on Monday 00:00 UTC; 1970-01-01 was a Thursday.
SELECT DISTINCT
    e.actor_id AS actor_id,
    (intDiv(toUnixTimestamp64Nano(e.event_time) + 259200000000000, 604800000000000) * 604800000000000 - 259200000000000)
        AS monday_unix_nano
FROM audit_entries AS e
WHERE true /*filter*/
