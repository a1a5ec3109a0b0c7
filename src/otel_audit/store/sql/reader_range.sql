-- Every entry of one ledger from first to last.
SELECT
/*columns*/
FROM audit_entries AS e
WHERE e.origin = {origin:String} AND e.seq BETWEEN {first:UInt64} AND {last:UInt64} /*filter*/
ORDER BY e.seq
