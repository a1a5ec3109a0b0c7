-- Decided reviews by local weekday (1 is Monday) and hour of the decision.
SELECT
    toDayOfWeek(toTimeZone(e.end_time, {zone:String})) AS weekday,
    toHour(toTimeZone(e.end_time, {zone:String})) AS hour,
    count() AS reviews
FROM audit_entries AS e
WHERE e.event_type = 'review' AND e.duplicate_of = '' /*filter*/
GROUP BY weekday, hour
ORDER BY weekday, hour
