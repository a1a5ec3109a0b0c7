-- The smallest stored checkpoint that covers a size; 0 when none does.
SELECT min(size) AS next_size
FROM audit_checkpoints
WHERE origin = {origin:String} AND size >= {size:UInt64}
