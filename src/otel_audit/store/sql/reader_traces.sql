-- Traces with an entry in a period: those that failed first, then the longest. `all_traces` is how many there are, and
-- `all_failed` how many of them failed, in case there are more than the limit. Only entries of the period are counted.
SELECT
    e.trace_id AS trace_id,
    argMin(e.name, (e.record_kind != 'span', e.parent_span_id != '', e.event_time, e.origin, e.seq)) AS name,
    toUnixTimestamp64Nano(min(e.event_time)) AS event_time,
    toUnixTimestamp64Nano(max(e.end_time)) AS end_time,
    countIf(e.record_kind = 'span') AS spans,
    countIf(e.record_kind != 'span') AS logs,
    countIf(e.status = 'error' OR e.error_type != '') AS errors,
    arraySort(groupUniqArrayIf(20)(e.service, e.service != '')) AS services,
    arraySort(groupUniqArrayIf(5)(e.task_id, e.task_id != '')) AS tasks,
    uniqExactIf(e.service, e.service != '') AS all_services,
    uniqExactIf(e.task_id, e.task_id != '') AS all_tasks,
    count() OVER () AS all_traces,
    countIf(errors > 0) OVER () AS all_failed
FROM audit_entries AS e
WHERE e.trace_id != ''
  AND e.event_time >= fromUnixTimestamp64Nano({since:Int64}, 'UTC') /*filter*/
GROUP BY e.trace_id
ORDER BY errors > 0 DESC, end_time - event_time DESC, trace_id
LIMIT {limit:UInt64}
