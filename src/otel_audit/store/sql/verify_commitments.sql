-- What the entries of a range commit to, in the order of verify_texts.
SELECT seq, name, commitment
FROM audit_entries
ARRAY JOIN mapKeys(content) AS name, mapValues(content) AS commitment
WHERE origin = {origin:String} AND seq >= {first:UInt64} AND seq <= {last:UInt64}
ORDER BY seq, name
