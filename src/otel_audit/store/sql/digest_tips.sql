-- Per ledger: its newest signed checkpoint, and how many rows there are now.
SELECT checkpoints.origin AS origin, checkpoints.note AS note, entries.row_count AS row_count
FROM (SELECT origin, argMax(note, size) AS note FROM audit_checkpoints GROUP BY origin) AS checkpoints
LEFT JOIN (SELECT origin, count() AS row_count FROM audit_entries GROUP BY origin) AS entries
    ON entries.origin = checkpoints.origin
ORDER BY origin
