-- What these entries commit to.
SELECT seq, mapValues(content) AS commitments
FROM audit_entries
WHERE origin = {origin:String} AND seq IN {seqs:Array(UInt64)}
