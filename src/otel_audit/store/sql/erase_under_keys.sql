-- Everything that these keys (hex) opened.
SELECT seq, key_id, sealed
FROM audit_sealed
WHERE origin = {origin:String} AND has({key_ids:Array(String)}, lower(hex(key_id)))
ORDER BY seq
