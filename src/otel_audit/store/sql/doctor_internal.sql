-- Losses that the receiver itself recorded in a period, by reason, the most frequent first.
SELECT e.name AS reason, sum(toUInt64OrZero(e.attributes_json['audit.loss.count'])) AS lost
FROM audit_entries AS e
WHERE e.recorded_at >= fromUnixTimestamp64Nano({since:Int64}, 'UTC') AND e.record_kind = 'internal' AND e.event_type = 'loss'
GROUP BY reason
ORDER BY lost DESC, reason
LIMIT {limit:UInt64}
