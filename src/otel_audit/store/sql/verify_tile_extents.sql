-- Per ledger and tile level: the last stored tile.
SELECT origin, level, max(tile_index) AS last_tile
FROM audit_tiles
GROUP BY origin, level
ORDER BY origin, level
