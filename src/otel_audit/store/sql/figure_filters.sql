-- The events behind a figure of the dashboard, as conditions over audit_entries AS e (Filter.figure is the name).
-- What tells a call or a review again (duplicate_of) is in none of them. docs/how-to/dashboard.md defines each figure.

-- name: decided (reviews that somebody decided)
(e.event_type = 'review' AND e.decision NOT IN ('', 'abandoned') AND e.duplicate_of = '')

-- name: timed (decided reviews whose active time is known)
(e.event_type = 'review' AND e.decision NOT IN ('', 'abandoned') AND e.duplicate_of = ''
 AND e.active_seconds IS NOT NULL)

-- name: waited (reviews whose wait in the queue is known)
(e.event_type = 'review' AND e.duplicate_of = '' AND e.queue_wait_seconds IS NOT NULL)

-- name: overrides (decided reviews that went against what the AI proposed)
(e.event_type = 'review' AND e.decision NOT IN ('', 'abandoned') AND e.duplicate_of = '' AND e.is_override)

-- name: first_decisions (of each task with an AI call that answered: the first review that was decided. Two of the
-- same nanosecond are both first)
(e.event_type = 'review' AND e.decision NOT IN ('', 'abandoned') AND e.duplicate_of = '' AND e.task_id != ''
 AND (e.task_id, e.end_time) IN (
    SELECT f.task_id, min(f.end_time)
    FROM audit_entries AS f
    WHERE f.event_type = 'review' AND f.decision NOT IN ('', 'abandoned') AND f.duplicate_of = '' AND f.task_id != ''
      /*tasks*/
    GROUP BY f.task_id
) AND e.task_id IN (
    SELECT task_id
    FROM audit_entries
    WHERE event_type = 'ai_call' AND duplicate_of = '' AND status != 'error' AND error_type = '' /*tasks*/
))

-- name: double_reviewed (decisions, other than to hand on, in tasks that two or more people decided)
(e.event_type = 'review' AND e.decision NOT IN ('', 'abandoned', 'escalated') AND e.duplicate_of = ''
 AND e.task_id != '' AND e.task_id IN (
    SELECT f.task_id
    FROM audit_entries AS f
    WHERE f.event_type = 'review' AND f.decision NOT IN ('', 'abandoned', 'escalated') AND f.duplicate_of = ''
      AND f.task_id != '' AND f.reviewer_id != '' /*tasks*/
    GROUP BY f.task_id
    HAVING min(f.reviewer_id) != max(f.reviewer_id)
))

-- name: quick (opened to decided in less than max(floor, words at the reading speed); words are three for four
-- tokens of the task's last answer, https://platform.openai.com/tokenizer, so that no text is read)
(e.event_type = 'review' AND e.decision NOT IN ('', 'abandoned', 'escalated') AND e.duplicate_of = ''
 AND e.duration_ms IS NOT NULL AND (e.origin, e.seq) IN (
    SELECT q.origin, q.seq
    FROM (
        SELECT e.origin AS origin, e.seq AS seq, e.task_id AS task_id, e.duration_ms AS duration_ms
        FROM audit_entries AS e
        WHERE e.event_type = 'review' AND e.decision NOT IN ('', 'abandoned', 'escalated') AND e.duplicate_of = ''
          /*period*/
    ) AS q
    LEFT JOIN (
        SELECT task_id, argMax(ifNull(output_tokens, 0) - least(ifNull(reasoning_tokens, 0), ifNull(output_tokens, 0)),
                               event_time) AS tokens
        FROM audit_entries
        WHERE event_type = 'ai_call' AND duplicate_of = '' AND status != 'error' AND error_type = '' AND task_id != ''
          /*tasks*/
        GROUP BY task_id
    ) AS d ON d.task_id = q.task_id
    WHERE q.duration_ms / 1000
        < greatest(toFloat64({quick_floor:Int64}), 0.75 * d.tokens * 60 / {words_per_minute:Int64})
))

-- name: counted_calls (AI calls, each once)
(e.event_type = 'ai_call' AND e.duplicate_of = '')

-- name: failed_calls
(e.event_type = 'ai_call' AND e.duplicate_of = '' AND (e.status = 'error' OR e.error_type != ''))

-- name: calibrated (first decisions in tasks whose last answer states a confidence)
(e.event_type = 'review' AND e.decision NOT IN ('', 'abandoned', 'escalated') AND e.duplicate_of = ''
 AND e.task_id != '' AND (e.task_id, e.end_time) IN (
    SELECT f.task_id, min(f.end_time)
    FROM audit_entries AS f
    WHERE f.event_type = 'review' AND f.decision NOT IN ('', 'abandoned') AND f.duplicate_of = '' AND f.task_id != ''
      /*tasks*/
    GROUP BY f.task_id
) AND e.task_id IN (
    SELECT task_id
    FROM audit_entries
    WHERE event_type = 'ai_call' AND duplicate_of = '' AND status != 'error' AND error_type = '' /*tasks*/
    GROUP BY task_id
    HAVING argMax(ifNull(confidence, -1), event_time) >= 0
))

-- name: large_exports (exports and bundles of the trail with ten thousand rows or more)
(e.event_type = 'access' AND e.attributes['audit.action'] IN ('EXPORT', 'BUNDLE')
 AND toInt64OrZero(e.attributes_json['audit.row_count']) >= 10000)

-- name: off_hours (accesses to the trail on Saturday, on Sunday, or not between 07:00 and 19:00, in UTC)
(e.event_type = 'access' AND (toDayOfWeek(e.event_time, 0, 'UTC') > 5 OR toHour(e.event_time, 'UTC') NOT BETWEEN 7 AND 18))

-- name: failed_accesses (accesses to the trail that were denied or went wrong)
(e.event_type = 'access' AND e.attributes['audit.outcome'] NOT IN ('', 'success'))

-- name: failed_checks (checks of the ledger that found something: the receiver's own, and a viewer's)
(e.event_type = 'access' AND e.attributes['audit.action'] = 'VERIFY'
 AND e.attributes['audit.outcome'] NOT IN ('', 'success'))

-- name: looks (accesses to the trail, other than coming and going, and opening a week of the log review: that is the
-- review itself)
(e.event_type = 'access' AND e.attributes['audit.action'] NOT IN ('SIGN_IN', 'SIGN_OUT')
 AND NOT (e.attributes['audit.action'] = 'VIEW' AND e.attributes['audit.target.type'] = 'log_review'))

-- name: unrecognised (look like GenAI, by attribute names, record name or scope, but no convention recognised or could
-- read them)
(e.convention = '' AND e.event_type IN ('span', 'log') AND (
    match(e.scope_name, '^(openinference\\.|opentelemetry\\.instrumentation\\.genai\\.|openlit\\b|traceloop\\b|langsmith\\b|langfuse|litellm$|pydantic-ai$|strands\\b|com\\.anthropic\\.sdk\\b)')
    OR startsWith(e.name, 'gen_ai.')
    OR arrayExists(remark -> startsWith(remark, 'convention_failed:'), e.remarks)
    OR arrayExists(
        key -> match(key, '^(gen_ai|llm|ai|openinference|traceloop|langsmith|langfuse)\\.'),
        arrayConcat(mapKeys(e.attributes), mapKeys(e.attributes_json)))
))

-- name: id_conflicts (entries under an id that another record has already)
arrayExists(remark -> remark = 'id_conflict' OR startsWith(remark, 'id_conflict:'), e.remarks)
