-- One condition for each field of model.Filter, over audit_entries AS e. Those that are set are joined with AND.

-- name: task_id
e.task_id = {task_id:String}

-- name: reviewer_id
e.reviewer_id IN {reviewer_id:Array(String)}

-- name: event_type
e.event_type IN {event_type:Array(String)}

-- name: decision
e.decision IN {decision:Array(String)}

-- name: model (asked for, or answering)
(e.request_model IN {model:Array(String)} OR e.response_model IN {model:Array(String)})

-- name: service
e.service IN {service:Array(String)}

-- name: environment
e.environment IN {environment:Array(String)}

-- name: since
e.event_time >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')

-- name: until
e.event_time < fromUnixTimestamp64Nano({until:Int64}, 'UTC')

-- name: trace_id
e.trace_id = {trace_id:String}

-- name: request_id (the application's, or the provider's)
(e.request_id = {request_id:String} OR e.provider_request_id = {request_id:String})

-- name: response_id
e.response_id = {response_id:String}

-- name: conversation_id
e.conversation_id = {conversation_id:String}

-- name: exclude_event_type
e.event_type NOT IN {exclude_event_type:Array(String)}

-- name: prompt_version
e.prompt_version IN {prompt_version:Array(String)}

-- name: actor_id
e.actor_id IN {actor_id:Array(String)}

-- name: action (of accesses to the trail)
(e.event_type = 'access' AND e.attributes['audit.action'] IN {action:Array(String)})

-- name: status
e.status IN {status:Array(String)}

-- name: producer
e.producer IN {producer:Array(String)}

-- name: confidence_from
e.confidence >= {confidence_from:Float64}

-- name: confidence_to
e.confidence <= {confidence_to:Float64}

-- name: tasks (for subqueries of figures that look at all of a task: those that the filter has a review of)
AND task_id IN (SELECT e.task_id FROM audit_entries AS e WHERE e.event_type = 'review' AND e.task_id != '' /*period*/)

-- name: sizes (a frozen view: the entries of one ledger below a size; joined with OR for several ledgers. `beyond` is NOT these)
(e.origin = {origin:String} AND e.seq < {size:UInt64})

-- name: task_kind
e.task_kind IN {task_kind:Array(String)}

-- name: asked_model (the model asked for; where that is not known, the one that answered)
if(e.request_model = '', e.response_model, e.request_model) IN {asked_model:Array(String)}

-- name: answering_model
e.response_model IN {answering_model:Array(String)}

-- name: prompt_name
e.prompt_name IN {prompt_name:Array(String)}

-- name: rationale_code
hasAny(e.rationale_code, {rationale_code:Array(String)})

-- name: task_call (entries of tasks that such a call answered; an empty list means any)
(e.task_id != '' AND e.task_id IN (
    SELECT c.task_id
    FROM audit_entries AS c
    WHERE c.event_type = 'ai_call' AND c.duplicate_of = '' AND c.status != 'error' AND c.error_type = ''
      AND (empty({task_asked_model:Array(String)})
           OR if(c.request_model = '', c.response_model, c.request_model) IN {task_asked_model:Array(String)})
      AND (empty({task_answering_model:Array(String)}) OR c.response_model IN {task_answering_model:Array(String)})
      AND (empty({task_prompt_name:Array(String)}) OR c.prompt_name IN {task_prompt_name:Array(String)})
      AND (empty({task_prompt_version:Array(String)}) OR c.prompt_version IN {task_prompt_version:Array(String)})
      AND (empty({task_service:Array(String)}) OR c.service IN {task_service:Array(String)})
))

-- name: next_decision (escalations by the next decision in their task; '' is one that nobody decided on yet)
(e.event_type = 'escalation' AND (e.origin, e.seq) IN (
    SELECT s.origin, s.seq
    FROM (
        SELECT origin, seq, task_id, event_time FROM audit_entries WHERE event_type = 'escalation' AND duplicate_of = ''
    ) AS s
    ASOF LEFT JOIN (
        SELECT task_id, end_time, decision
        FROM audit_entries
        WHERE event_type = 'review' AND decision NOT IN ('', 'abandoned') AND duplicate_of = ''
    ) AS r ON s.task_id = r.task_id AND s.event_time < r.end_time
    WHERE r.decision IN {next_decision:Array(String)}
))

-- name: term (one word or phrase of Filter.text: `term` is it, /*in_content*/ a condition on audit_content AS c.
-- A GenAI text that came in a log record counts for the AI call of the same span too.)
(
    positionCaseInsensitiveUTF8(e.task_id, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.reviewer_id, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.to_reviewer, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.actor_id, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.request_id, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.provider_request_id, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.response_id, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.conversation_id, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.trace_id, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.span_id, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.name, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.subject_ref, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.user_id, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.service, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.request_model, {term:String}) > 0
    OR positionCaseInsensitiveUTF8(e.response_model, {term:String}) > 0
    OR arrayExists(code -> positionCaseInsensitiveUTF8(code, {term:String}) > 0, e.rationale_code)
    OR (e.origin, e.seq) IN (SELECT c.origin, c.seq FROM audit_content AS c WHERE /*in_content*/)
    OR (e.event_type = 'ai_call' AND e.span_id != '' AND (e.trace_id, e.span_id) IN (
        SELECT c.trace_id, c.span_id
        FROM audit_content AS c
        WHERE c.span_id != '' AND /*in_content*/ AND (c.origin, c.seq) IN (
            SELECT l.origin, l.seq FROM audit_entries AS l WHERE l.event_type = 'log' AND l.convention != '')
    ))
)

-- name: content_like (served by the text index when the pattern is letters and digits alone, four or more)
lowerUTF8(c.value) LIKE {pattern:String}

-- name: content_tokens (whole words: for those too short to look for inside of others)
hasAnyTokens(lowerUTF8(c.value), {tokens:Array(String)})

-- name: content_match (a term beyond ASCII, whose letters JSON may carry escaped)
match(lowerUTF8(c.value), {expression:String})
