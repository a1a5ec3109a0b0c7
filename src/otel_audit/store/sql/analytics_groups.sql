-- What figures are grouped by: an expression over audit_entries AS e (of a review, or of an AI call). `model`,
-- `model_version` and `prompt` of a review are those of its task's AI calls: analytics_task_calls.sql joins them.

-- name: kind
e.task_kind

-- name: service
e.service

-- name: model (the model asked for: a call that failed has no other)
if(e.request_model = '', e.response_model, e.request_model)

-- name: model_version (the model that answered)
e.response_model

-- name: prompt (name and version, kept apart so that no name can look like another)
concat(e.prompt_name, '\n', e.prompt_version)
