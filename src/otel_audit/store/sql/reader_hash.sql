SELECT lower(hex(e.hash)) AS hash
FROM audit_entries AS e
WHERE e.origin = {origin:String} AND e.seq = {seq:UInt64}
LIMIT 1
