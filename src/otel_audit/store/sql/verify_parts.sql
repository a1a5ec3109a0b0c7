-- Which parts of a ledger have rows, each of so many seqs.
SELECT DISTINCT intDiv(seq, {width:UInt64}) AS part
FROM audit_entries
WHERE origin = {origin:String} AND seq >= {first:UInt64} AND seq <= {last:UInt64}
ORDER BY part
