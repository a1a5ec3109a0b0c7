ALTER TABLE audit_sealed DELETE WHERE origin = {origin:String} AND has({key_ids:Array(String)}, lower(hex(key_id)))
