-- The newest reviews of Filter.figure = 'quick', with the tokens of the task's last answer.
SELECT
    e.origin AS origin, e.seq AS seq, e.task_id AS task_id, e.task_kind AS task_kind, e.decision AS decision,
    toUnixTimestamp64Nano(e.end_time) AS end_time, assumeNotNull(e.duration_ms) / 1000 AS seconds, d.tokens AS tokens
FROM (
    SELECT e.origin, e.seq, e.task_id, e.task_kind, e.decision, e.end_time, e.duration_ms
    FROM audit_entries AS e
    WHERE true /*filter*/
    ORDER BY e.end_time DESC, e.origin, e.seq
    LIMIT {limit:UInt64}
) AS e
LEFT JOIN (
    SELECT task_id, argMax(ifNull(output_tokens, 0) - least(ifNull(reasoning_tokens, 0), ifNull(output_tokens, 0)),
                           event_time) AS tokens
    FROM audit_entries
    WHERE event_type = 'ai_call' AND duplicate_of = '' AND status != 'error' AND error_type = '' AND task_id != ''
    GROUP BY task_id
) AS d ON d.task_id = e.task_id
ORDER BY end_time DESC, origin, seq
