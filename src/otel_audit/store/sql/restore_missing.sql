-- Sealed texts of entries that have none to read. Times are nanoseconds since 1970.
SELECT s.seq, s.key_id, s.sealed, s.retention_class, toUnixTimestamp64Nano(s.recorded_at) AS recorded_at
FROM audit_sealed AS s
WHERE
    s.origin = {origin:String} AND s.seq >= {first:UInt64} AND s.seq < {end:UInt64}
    AND s.seq NOT IN (
        SELECT seq FROM audit_content
        WHERE origin = {origin:String} AND seq >= {first:UInt64} AND seq < {end:UInt64}
    )
