-- Reviews by group: how many, what was decided, how long it took.
-- Percentiles lie between the two nearest values (as spreadsheets' PERCENTILE.INC).
SELECT
    /*group*/ AS grp,
    count() AS reviews,
    uniqExactIf(e.task_id, e.task_id != '') AS tasks,
    uniqExactIf(e.reviewer_id, e.reviewer_id != '') AS people,
    countIf(e.decision NOT IN ('', 'abandoned')) AS decided,
    countIf(e.decision = 'approved') AS approved,
    countIf(e.decision IN ('modified', 'edited')) AS modified,
    countIf(e.decision = 'rejected') AS rejected,
    countIf(e.decision = 'escalated') AS escalated,
    countIf(e.is_override AND e.decision NOT IN ('', 'abandoned')) AS overrides,
    countIf(e.active_seconds IS NOT NULL AND e.decision NOT IN ('', 'abandoned')) AS timed,
    quantilesExactInclusiveIf(0.5, 0.9)(
        ifNull(e.active_seconds, 0), e.active_seconds IS NOT NULL AND e.decision NOT IN ('', 'abandoned')) AS active,
    countIf(e.queue_wait_seconds IS NOT NULL) AS waited,
    quantilesExactInclusiveIf(0.5, 0.9)(ifNull(e.queue_wait_seconds, 0), e.queue_wait_seconds IS NOT NULL) AS wait
FROM audit_entries AS e
/*join*/
WHERE e.event_type = 'review' AND e.duplicate_of = '' /*filter*/
GROUP BY grp
ORDER BY grp
