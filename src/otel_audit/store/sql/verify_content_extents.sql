-- Per ledger: how many texts are stored.
SELECT origin, count() AS text_count
FROM audit_content
GROUP BY origin
ORDER BY origin
