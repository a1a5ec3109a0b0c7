-- Stored checkpoints in order of size.
SELECT size, root_hash, note
FROM audit_checkpoints
WHERE origin = {origin:String} AND size >= {smallest:UInt64} AND size <= {largest:UInt64}
ORDER BY size
