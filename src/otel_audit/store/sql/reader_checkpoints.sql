SELECT
    k.origin AS origin,
    k.size AS size,
    lower(hex(k.root_hash)) AS root_hash_hex,
    toUnixTimestamp64Nano(k.created_at) AS created_unix_nano,
    k.note AS note
FROM audit_checkpoints AS k
WHERE k.origin = {origin:String}
ORDER BY k.size DESC, k.created_at DESC
LIMIT {limit:UInt64}
