-- How many entries a hold keeps: of a partition if one is given, among some entries if they are given.
SELECT count() AS held
FROM audit_entries
WHERE origin = {origin:String}
    AND ({task_id:String} = '' OR task_id = {task_id:String})
    AND ({reviewer_id:String} = '' OR {reviewer_id:String} IN (reviewer_id, from_reviewer, to_reviewer))
    AND toUnixTimestamp64Nano(recorded_at) >= {start:Int64} AND toUnixTimestamp64Nano(recorded_at) < {end:Int64}
    AND ({month:UInt32} = 0 OR (retention_class = {retention_class:String} AND toYYYYMM(recorded_at) = {month:UInt32}))
    AND (empty({seqs:Array(UInt64)}) OR seq IN {seqs:Array(UInt64)})
