-- The full tiles of level 0 of a range, in order.
SELECT tile_index, hashes
FROM audit_tiles
WHERE origin = {origin:String} AND level = 0 AND tile_index >= {first:UInt64} AND tile_index < {end:UInt64}
ORDER BY tile_index
