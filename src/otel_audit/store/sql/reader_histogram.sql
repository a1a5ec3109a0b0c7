-- A bucket begins where the local clock (UTC + offset) shows a multiple of the step. positiveModulo: event times
-- before 1970 exist, as producers' clocks are what they are.
SELECT
    toUnixTimestamp64Second(e.event_time)
        - positiveModulo(toUnixTimestamp64Second(e.event_time) + {utc_offset_seconds:Int64}, {step_seconds:Int64}) AS bucket,
    e.event_type AS event_type,
    count() AS events
FROM audit_entries AS e
WHERE true /*filter*/
GROUP BY bucket, event_type
ORDER BY bucket, event_type
