-- When the newest checkpoint was made, in nanoseconds since 1970 by the receiver's clock; 0 when there is none.
SELECT toUnixTimestamp64Nano(max(created_at)) AS created
FROM audit_checkpoints
WHERE origin = {origin:String}
