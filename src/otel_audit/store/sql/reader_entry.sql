SELECT
/*columns*/
FROM audit_entries AS e
WHERE e.origin = {origin:String} AND e.seq = {seq:UInt64} /*filter*/
