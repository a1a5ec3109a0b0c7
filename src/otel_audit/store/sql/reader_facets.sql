-- The values of an entry that a facet counts, as an array.

-- name: event_type
[e.event_type]
-- name: decision
[e.decision]
-- name: reviewer_id
[e.reviewer_id]
-- name: rationale_code
e.rationale_code
-- name: model (asked for, or answering)
arrayDistinct([e.request_model, e.response_model])
-- name: asked_model (where that is not known, the one that answered)
[if(e.request_model = '', e.response_model, e.request_model)]
-- name: answering_model
[e.response_model]
-- name: provider
[e.provider]
-- name: service
[e.service]
-- name: environment
[e.environment]
-- name: task_kind
[e.task_kind]
-- name: prompt_name
[e.prompt_name]
-- name: prompt_version
[e.prompt_version]
-- name: agent_name
[e.agent_name]
-- name: tool_name
[e.tool_name]
-- name: resolution
[e.resolution]
-- name: actor_id
[e.actor_id]
-- name: action (of accesses to the trail)
[if(e.event_type = 'access', e.attributes['audit.action'], '')]
-- name: producer
[e.producer]
-- name: status
[e.status]
-- name: task_id
[e.task_id]
