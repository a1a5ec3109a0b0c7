-- The record with the highest number of a producer's stream, and whether one of its records was the last.
SELECT
    argMax(e.seq, toUInt64OrZero(e.attributes_json['audit.sequence.number'])) AS seq,
    max(e.attributes_json['audit.sequence.end'] = 'true') AS ended
FROM audit_entries AS e
PREWHERE e.convention = 'otel_audit_signal'
WHERE e.origin = {origin:String}
  AND e.record_kind = 'log'
  AND e.attributes['audit.sequence.stream_id'] = {stream:String}
  AND ({stream:String} != '' OR e.service = {service:String})
  AND toUInt64OrZero(e.attributes_json['audit.sequence.number']) > 0
HAVING count() > 0
