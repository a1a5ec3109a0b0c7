-- Escalations by reason and by what the next decision in their task was ('' is none yet). One with several reasons
-- counts for each.
SELECT code, outcome, count() AS escalations
FROM (
    SELECT arrayJoin(if(empty(s.codes), [''], s.codes)) AS code, toString(r.decision) AS outcome
    FROM (
        SELECT e.task_id AS task_id, e.event_time AS event_time, e.rationale_code AS codes
        FROM audit_entries AS e
        WHERE e.event_type = 'escalation' AND e.duplicate_of = '' /*filter*/
    ) AS s
    ASOF LEFT JOIN (
        SELECT task_id, end_time, decision
        FROM audit_entries
        WHERE event_type = 'review' AND decision NOT IN ('', 'abandoned') AND duplicate_of = ''
          AND task_id IN (
              SELECT e.task_id FROM audit_entries AS e
              WHERE e.event_type = 'escalation' AND e.duplicate_of = '' /*filter*/)
    ) AS r ON s.task_id = r.task_id AND s.event_time < r.end_time
)
GROUP BY code, outcome
ORDER BY code, outcome
