-- When the entries of a range were recorded and began, in nanoseconds since 1970, in order.
SELECT seq, toUnixTimestamp64Nano(recorded_at) AS recorded, toUnixTimestamp64Nano(event_time) AS begun
FROM audit_entries
WHERE origin = {origin:String} AND seq >= {first:UInt64} AND seq <= {last:UInt64}
ORDER BY seq
