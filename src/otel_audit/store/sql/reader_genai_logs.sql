-- GenAI log records of some traces that carry texts: the AI call of the same span may lack them.
SELECT l.origin AS origin, l.seq AS seq, l.trace_id AS trace_id, l.span_id AS span_id, l.content AS content
FROM audit_entries AS l
WHERE l.event_type = 'log' AND l.convention != '' AND l.span_id != '' AND notEmpty(l.content)
  AND l.trace_id IN {trace_ids:Array(String)}
ORDER BY l.event_time, l.origin, l.seq
