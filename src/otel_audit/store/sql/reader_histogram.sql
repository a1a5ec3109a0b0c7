-- A bucket begins where the local clock (UTC + offset) shows a multiple of the step. positiveModulo: event times
-- before 1970 exist, as producers' clocks are what they are.
SELECT
    intDiv(
        toUnixTimestamp64Nano(e.event_time) - positiveModulo(
            toUnixTimestamp64Nano(e.event_time) + 1000000000 * {utc_offset_seconds:Int64},
            1000000000 * {step_seconds:Int64}),
        1000000000) AS bucket,
    if(e.duplicate_of = '', e.event_type, 'reported_again') AS event_type,  -- as in reader_counts_by_type.sql
    count() AS events
FROM audit_entries AS e
WHERE true /*filter*/
GROUP BY bucket, event_type
ORDER BY bucket, event_type
