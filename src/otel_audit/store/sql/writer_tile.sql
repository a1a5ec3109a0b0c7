-- One full tile: 256 hashes, 8,192 bytes.
SELECT hashes
FROM audit_tiles
WHERE origin = {origin:String} AND level = {level:UInt8} AND tile_index = {tile_index:UInt64}
LIMIT 1
