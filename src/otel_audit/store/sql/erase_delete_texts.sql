ALTER TABLE audit_content DELETE WHERE origin = {origin:String} AND seq IN {seqs:Array(UInt64)}
