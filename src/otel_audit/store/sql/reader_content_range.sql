SELECT c.seq AS seq, c.name AS name, c.commitment AS commitment, c.value AS value
FROM audit_content AS c
WHERE c.origin = {origin:String} AND c.seq BETWEEN {first:UInt64} AND {last:UInt64}
