-- The keys of the matching entries after (origin, seq), in ledger order.
SELECT e.origin AS origin, e.seq AS seq
FROM audit_entries AS e
WHERE (e.origin, e.seq) > ({after_origin:String}, {after_seq:Int64}) /*filter*/
ORDER BY e.origin, e.seq
LIMIT {limit:UInt64}
