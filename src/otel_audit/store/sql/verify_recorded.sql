-- When the first and the last entry of a range were recorded, in nanoseconds since 1970.
SELECT toUnixTimestamp64Nano(min(recorded_at)) AS first_nanos, toUnixTimestamp64Nano(max(recorded_at)) AS last_nanos
FROM audit_entries
WHERE origin = {origin:String} AND seq >= {first:UInt64} AND seq <= {last:UInt64}
