-- Each task with each group that answered it: a task that two models answered counts for both.
INNER JOIN (
    SELECT DISTINCT e.task_id AS task_id, /*group*/ AS grp
    FROM audit_entries AS e
    WHERE e.event_type = 'ai_call' AND e.duplicate_of = '' AND e.status != 'error' AND e.error_type = ''
      AND e.task_id != ''
) AS calls ON calls.task_id = e.task_id
