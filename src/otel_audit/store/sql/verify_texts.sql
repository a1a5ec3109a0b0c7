-- The texts of a range of entries, with what opens their commitments.
SELECT seq, name, commitment, opening, value
FROM audit_content
WHERE origin = {origin:String} AND seq >= {first:UInt64} AND seq <= {last:UInt64}
ORDER BY seq, name
