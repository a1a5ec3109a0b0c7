-- Stated confidence of the task's last answer against the first decision on it, in ten bins. Kept: neither rejected
-- nor decided against the AI's proposal.
SELECT
    toUInt8(least(9, floor(stated * 10))) AS bin,
    count() AS reviews,
    avg(stated) AS confidence,
    countIf(NOT overridden) AS kept
FROM (
    SELECT r.overridden AS overridden, c.last AS stated
    FROM (
        SELECT e.task_id AS task_id, e.is_override OR e.decision = 'rejected' AS overridden
        FROM audit_entries AS e
        WHERE true /*filter*/
    ) AS r
    INNER JOIN (
        SELECT task_id, argMax(ifNull(confidence, -1), event_time) AS last
        FROM audit_entries
        WHERE event_type = 'ai_call' AND duplicate_of = '' AND status != 'error' AND error_type = '' AND task_id != ''
        GROUP BY task_id
    ) AS c ON c.task_id = r.task_id
    WHERE c.last >= 0
)
GROUP BY bin
ORDER BY bin
