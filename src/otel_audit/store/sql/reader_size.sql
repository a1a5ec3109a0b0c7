-- A ledger's size, of which its last few rows are read: the order is the key's, backwards.
SELECT e.seq + 1 AS size
FROM audit_entries AS e
WHERE e.origin = {origin:String}
ORDER BY e.origin DESC, e.seq DESC
LIMIT 1
