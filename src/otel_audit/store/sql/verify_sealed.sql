-- Which entries have sealed texts.
SELECT seq
FROM audit_sealed
WHERE origin = {origin:String} AND seq >= {first:UInt64} AND seq <= {last:UInt64}
ORDER BY seq
