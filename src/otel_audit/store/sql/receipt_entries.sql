-- What a receipt says of these entries, and what the canonical form of their records is made of. Times in nanoseconds.
SELECT
    e.seq AS seq,
    e.event_id AS event_id,
    e.hash AS leaf_hash,
    toUnixTimestamp64Nano(e.recorded_at) AS recorded_at,
    toUnixTimestamp64Nano(e.event_time) AS event_time,
    e.name AS name,
    e.trace_id AS trace_id,
    e.span_id AS span_id,
    e.attributes AS attributes,
    e.attributes_json AS attributes_json,
    e.otlp AS otlp,
    e.remarks AS remarks
FROM audit_entries AS e
WHERE e.origin = {origin:String} AND e.seq IN {seqs:Array(UInt64)}
