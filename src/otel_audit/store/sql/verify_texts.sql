-- The texts of a range of entries, with what opens their commitments.
SELECT seq, name, commitment, opening, value
FROM audit_content
WHERE origin = {origin:String} AND seq >= {start:UInt64} AND seq < {end:UInt64}
ORDER BY seq, name
