-- The newest signed checkpoint of a ledger.
SELECT note
FROM audit_checkpoints
WHERE origin = {origin:String}
ORDER BY size DESC
LIMIT 1
