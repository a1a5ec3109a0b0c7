-- Each ledger's extent. Entries that retention dropped still count in size: it is the last seq + 1.
SELECT
    e.origin AS origin,
    min(e.seq) AS first_seq,
    max(e.seq) AS last_seq,
    count() AS entries,
    toUnixTimestamp64Nano(min(e.recorded_at)) AS first_recorded_unix_nano,
    toUnixTimestamp64Nano(max(e.recorded_at)) AS last_recorded_unix_nano
FROM audit_entries AS e
GROUP BY origin
ORDER BY origin
