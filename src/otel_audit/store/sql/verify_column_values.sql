-- Values that a column has elsewhere in the ledger, near a seq first: candidates for what an altered entry held.
SELECT formatRow('RowBinary', {column:Identifier}) AS candidate
FROM audit_entries
WHERE origin = {origin:String}
GROUP BY candidate
ORDER BY min(abs(toInt64(seq) - {seq:Int64}))
LIMIT {most:UInt64}
