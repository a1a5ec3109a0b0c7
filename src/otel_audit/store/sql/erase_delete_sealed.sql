ALTER TABLE audit_sealed DELETE WHERE origin = {origin:String} AND seq IN {seqs:Array(UInt64)}
