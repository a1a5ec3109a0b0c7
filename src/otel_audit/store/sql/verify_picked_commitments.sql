-- What single entries commit to, in the order of verify_picked_texts.
SELECT seq, name, commitment
FROM audit_entries
ARRAY JOIN mapKeys(content) AS name, mapValues(content) AS commitment
WHERE origin = {origin:String} AND seq IN {seqs:Array(UInt64)}
ORDER BY seq, name
