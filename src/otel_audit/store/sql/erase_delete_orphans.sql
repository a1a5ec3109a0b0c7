ALTER TABLE audit_content DELETE
WHERE origin = {origin:String} AND has({commitments:Array(String)}, lower(hex(commitment)))
