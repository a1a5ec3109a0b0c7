-- Per ledger: how many rows there are, and the largest seq.
SELECT origin, count() AS row_count, max(seq) AS newest_seq
FROM audit_entries
GROUP BY origin
ORDER BY origin
