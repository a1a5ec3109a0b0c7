-- What tells the newest AI calls of a ledger apart, newest first: what duplicates are looked for in after a start.
-- Times are nanoseconds since 1970 (DateTime64 reaches a client without its nanoseconds).
SELECT
    event_type,
    record_kind,
    toUnixTimestamp64Nano(e.event_time) AS event_time,
    toUnixTimestamp64Nano(e.end_time) AS end_time,
    service,
    operation,
    request_model,
    response_model,
    response_id,
    input_tokens,
    output_tokens,
    trace_id,
    span_id,
    parent_span_id,
    scope_name,
    duplicate_of
FROM audit_entries AS e
WHERE e.origin = {origin:String} AND e.seq >= {start:UInt64} AND e.event_type = 'ai_call'
ORDER BY e.seq DESC
LIMIT {limit:UInt64}
