-- How many full tiles of level 0 are stored, and the highest index among them.
SELECT count() AS tile_count, max(tile_index) AS newest_index
FROM audit_tiles
WHERE origin = {origin:String} AND level = 0
