SELECT value, count() AS events
FROM
(
    SELECT arrayJoin(/*values*/) AS value
    FROM audit_entries AS e
    WHERE true /*filter*/
)
WHERE value != ''
GROUP BY value
ORDER BY events DESC, value
LIMIT {limit:UInt64}
