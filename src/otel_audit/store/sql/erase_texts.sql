-- What is there of the texts of these entries.
SELECT seq, count() AS texts, sum(length(value)) AS size
FROM audit_content
WHERE origin = {origin:String} AND seq IN {seqs:Array(UInt64)}
GROUP BY seq
