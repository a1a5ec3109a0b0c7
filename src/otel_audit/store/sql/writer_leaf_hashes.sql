-- Leaf hashes of entries [start, end) in order.
SELECT hash
FROM audit_entries
WHERE origin = {origin:String} AND seq >= {start:UInt64} AND seq < {end:UInt64}
ORDER BY seq
