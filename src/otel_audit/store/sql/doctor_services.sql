-- What each service's records of a period lack, most AI calls first. An AI call counts once: second reports of one are
-- counted apart. A text that came in a log record counts for the call of the same span. Times are nanoseconds.
-- Spans are compared by a hash of their ids, which keeps millions of them small in memory.
-- `all_services` is how many there are, in case there are more than the limit.
WITH
    fromUnixTimestamp64Nano({since:Int64}, 'UTC') AS since,
    log_inputs AS (
        SELECT cityHash64(l.trace_id, l.span_id) FROM audit_entries AS l
        WHERE l.recorded_at >= since AND l.event_type = 'log' AND l.convention != '' AND l.span_id != ''
            AND mapContains(l.content, 'input')
    ),
    log_outputs AS (
        SELECT cityHash64(l.trace_id, l.span_id) FROM audit_entries AS l
        WHERE l.recorded_at >= since AND l.event_type = 'log' AND l.convention != '' AND l.span_id != ''
            AND mapContains(l.content, 'output')
    )
SELECT
    service,
    count() AS records,
    countIf(is_call) AS calls,
    countIf(is_repeat) AS repeats,
    groupUniqArrayIf(8)(scope_name, is_repeat) AS repeat_scopes,
    groupUniqArrayIf(8)(scope_name, is_call) AS scopes,
    countIf(is_call AND operation != 'embeddings' AND lacks_input) AS without_input,
    countIf(is_call AND is_answered AND lacks_output) AS without_output,
    countIf(is_call AND is_answered AND response_model = '') AS without_model,
    countIf(is_call AND is_answered AND response_id = '') AS without_response_id,
    countIf(is_call AND is_answered AND input_tokens IS NULL AND output_tokens IS NULL) AS without_usage,
    countIf(is_call AND task_id = '') AS without_task,
    sumIf(loss_count, event_type = 'loss') AS losses,
    groupUniqArrayIf(8)(loss_reason, event_type = 'loss') AS loss_reasons,
    countIf(hasAny(remarks, ['clock_future', 'clock_far_past', 'clock_out_of_range'])) AS clock_remarks,
    countIf(lag_nano < -2000000000) AS from_the_future,
    min(lag_nano) AS least_lag_nano,
    groupUniqArray(8)(capture_policy) AS policies,
    count() OVER () AS all_services
FROM
(
    SELECT
        e.service AS service, e.event_type AS event_type, e.scope_name AS scope_name, e.operation AS operation,
        e.response_model AS response_model, e.response_id AS response_id, e.task_id AS task_id,
        e.input_tokens AS input_tokens, e.output_tokens AS output_tokens, e.remarks AS remarks,
        e.capture_policy AS capture_policy, if(e.attributes['audit.loss.reason'] = '', e.name, e.attributes['audit.loss.reason']) AS loss_reason,
        greatest(1, toUInt64OrZero(e.attributes_json['audit.loss.count'])) AS loss_count,
        e.event_type = 'ai_call' AND e.duplicate_of = '' AS is_call,
        e.event_type = 'ai_call' AND e.duplicate_of != '' AS is_repeat,
        e.status != 'error' AND e.operation != 'embeddings' AS is_answered,
        NOT mapContains(e.content, 'input') AND cityHash64(e.trace_id, e.span_id) NOT IN (SELECT * FROM log_inputs) AS lacks_input,
        NOT mapContains(e.content, 'output') AND cityHash64(e.trace_id, e.span_id) NOT IN (SELECT * FROM log_outputs)
            AS lacks_output,
        toUnixTimestamp64Nano(e.recorded_at) - toUnixTimestamp64Nano(e.end_time) AS lag_nano
    FROM audit_entries AS e
    WHERE e.recorded_at >= since AND e.record_kind != 'internal'
)
GROUP BY service
ORDER BY calls DESC, records DESC, service
LIMIT {limit:UInt64}
