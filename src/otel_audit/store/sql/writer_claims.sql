-- The newest claim on a ledger: whose epoch it is.
SELECT epoch, writer_id, toUnixTimestamp64Nano(claimed_at) AS claimed_unix_nano
FROM audit_writers
WHERE origin = {origin:String}
ORDER BY epoch DESC
LIMIT 1
