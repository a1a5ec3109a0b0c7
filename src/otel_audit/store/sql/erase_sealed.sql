-- What is there of the sealed texts of these entries.
SELECT seq, key_id, length(sealed) AS size
FROM audit_sealed
WHERE origin = {origin:String} AND seq IN {seqs:Array(UInt64)}
