-- Every entry of a trace with what a waterfall draws, and no more: thousands of spans are read at once.
SELECT
    e.origin AS origin,
    e.seq AS seq,
    e.event_type AS event_type,
    e.record_kind AS record_kind,
    toUnixTimestamp64Nano(e.event_time) AS event_time,
    toUnixTimestamp64Nano(e.end_time) AS end_time,
    e.task_id AS task_id,
    e.service AS service,
    e.name AS name,
    e.span_id AS span_id,
    e.parent_span_id AS parent_span_id,
    e.status AS status,
    e.error_type AS error_type,
    e.duplicate_of AS duplicate_of
FROM audit_entries AS e
WHERE e.trace_id = {trace_id:String} /*filter*/
ORDER BY e.event_time, e.origin, e.seq
