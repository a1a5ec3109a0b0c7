-- The texts of single entries, with what opens their commitments.
SELECT seq, name, commitment, opening, value
FROM audit_content
WHERE origin = {origin:String} AND seq IN {seqs:Array(UInt64)}
ORDER BY seq, name
