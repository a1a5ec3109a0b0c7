-- Every stored version of one tile: there is one, unless something is wrong.
SELECT DISTINCT hashes
FROM audit_tiles
WHERE origin = {origin:String} AND level = {level:UInt8} AND tile_index = {tile_index:UInt64}
