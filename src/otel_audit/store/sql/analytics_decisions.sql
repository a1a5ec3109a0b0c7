-- Reviews by local day and decision.
SELECT
    toString(toDate(toTimeZone(e.end_time, {zone:String}))) AS day,
    e.decision AS decision,
    count() AS reviews
FROM audit_entries AS e
WHERE e.event_type = 'review' AND e.duplicate_of = '' /*filter*/
GROUP BY day, decision
ORDER BY day, decision
