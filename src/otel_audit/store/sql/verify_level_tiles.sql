-- The full tiles of one level of a range, in order.
SELECT tile_index, hashes
FROM audit_tiles
WHERE origin = {origin:String} AND level = {level:UInt8} AND tile_index >= {first:UInt64} AND tile_index < {end:UInt64}
ORDER BY tile_index
