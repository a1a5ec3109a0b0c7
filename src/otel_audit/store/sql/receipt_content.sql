SELECT seq, name, value
FROM audit_content
WHERE origin = {origin:String} AND seq IN {seqs:Array(UInt64)}
