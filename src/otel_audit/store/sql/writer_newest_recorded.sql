-- The latest time that an entry was recorded at, in nanoseconds since 1970; 0 when there is none.
SELECT toUnixTimestamp64Nano(max(recorded_at)) AS recorded
FROM audit_entries
WHERE origin = {origin:String}
