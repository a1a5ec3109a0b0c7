-- Picked entries of one ledger. first and last bound them, so that the primary key serves.
SELECT
/*columns*/
FROM audit_entries AS e
WHERE e.origin = {origin:String} AND e.seq BETWEEN {first:UInt64} AND {last:UInt64} AND e.seq IN {seqs:Array(UInt64)} /*filter*/
ORDER BY e.seq
