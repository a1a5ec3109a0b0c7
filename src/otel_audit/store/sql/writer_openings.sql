-- Openings of the texts of these entries, to compare a retried record's texts with what was committed.
SELECT seq, name, commitment, opening
FROM audit_content
WHERE origin = {origin:String} AND seq IN {seqs:Array(UInt64)}
