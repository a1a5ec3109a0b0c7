-- The partitions that hold entries of a ledger: class and month, how many, and from when to when.
SELECT
    retention_class,
    toYYYYMM(recorded_at) AS month,
    count() AS entry_count,
    min(seq) AS first_seq,
    max(seq) AS last_seq,
    toUnixTimestamp64Nano(min(recorded_at)) AS first_recorded,
    toUnixTimestamp64Nano(max(recorded_at)) AS last_recorded
FROM audit_entries
WHERE origin = {origin:String}
GROUP BY retention_class, month
ORDER BY month, retention_class
