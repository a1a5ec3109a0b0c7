-- Per ledger: the largest size that a stored checkpoint states.
SELECT origin, max(size) AS newest_size
FROM audit_checkpoints
GROUP BY origin
ORDER BY origin
