SELECT DISTINCT e.origin AS origin
FROM audit_entries AS e
ORDER BY origin
