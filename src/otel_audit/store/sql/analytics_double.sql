-- What people decided in tasks that two or more of them decided: each person's first decision, in order, by how often.
SELECT decisions, count() AS tasks
FROM (
    SELECT arrayMap(each -> each.2, arraySort(groupArray((at, first_decision)))) AS decisions
    FROM (
        SELECT e.task_id AS task, e.reviewer_id AS person, min(e.end_time) AS at,
               argMin(toString(e.decision), (e.end_time, e.origin, e.seq)) AS first_decision
        FROM audit_entries AS e
        WHERE true /*filter*/
        GROUP BY task, person
    )
    GROUP BY task
    HAVING length(decisions) > 1
)
GROUP BY decisions
ORDER BY decisions
