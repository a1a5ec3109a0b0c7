-- AI calls by group: how many, how many failed, how long they took, and their tokens.
SELECT
    /*group*/ AS grp,
    count() AS calls,
    uniqExactIf(e.task_id, e.task_id != '') AS tasks,
    countIf(e.status = 'error' OR e.error_type != '') AS failed,
    countIf(e.duration_ms IS NOT NULL) AS timed,
    quantilesExactInclusiveIf(0.5, 0.9)(ifNull(e.duration_ms, 0) / 1000, e.duration_ms IS NOT NULL) AS latency,
    countIf(e.input_tokens IS NOT NULL OR e.output_tokens IS NOT NULL) AS counted,
    sum(ifNull(e.input_tokens, 0)) AS input_tokens,
    sum(ifNull(e.output_tokens, 0)) AS output_tokens,
    toUnixTimestamp64Nano(min(e.event_time)) AS first_unix_nano
FROM audit_entries AS e
WHERE e.event_type = 'ai_call' AND e.duplicate_of = '' /*filter*/
GROUP BY grp
ORDER BY grp
