-- An AI call counts once. A value that only a second report of one has is listed with 0.
SELECT value, countIf(duplicate_of = '') AS events
FROM
(
    SELECT arrayJoin(/*values*/) AS value, e.duplicate_of AS duplicate_of
    FROM audit_entries AS e
    WHERE true /*filter*/
)
WHERE value != ''
GROUP BY value
ORDER BY events DESC, value
LIMIT {limit:UInt64}
