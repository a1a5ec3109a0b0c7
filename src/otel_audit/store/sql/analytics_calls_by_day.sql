-- AI calls by local day.
SELECT
    toString(toDate(toTimeZone(e.event_time, {zone:String}))) AS day,
    count() AS calls,
    countIf(e.status = 'error' OR e.error_type != '') AS failed,
    countIf(e.confidence IS NOT NULL) AS stated,
    sum(ifNull(e.confidence, 0)) AS confidence,
    quantileExactInclusiveIf(0.5)(ifNull(e.duration_ms, 0) / 1000, e.duration_ms IS NOT NULL) AS latency
FROM audit_entries AS e
WHERE e.event_type = 'ai_call' AND e.duplicate_of = '' /*filter*/
GROUP BY day
ORDER BY day
