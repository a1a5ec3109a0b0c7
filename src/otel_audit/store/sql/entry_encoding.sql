-- What an entry's hash is over, in order: the columns of schema version 1. A test compares this list with the schema.
schema_version, origin, seq, prev_hash, recorded_at, retention_class, event_type, event_id,
record_kind, event_time, end_time, duration_ms, task_id, task_kind, subject_ref, actor_id, actor_type,
reviewer_id, decision, rationale_code, is_override, active_seconds, idle_seconds, queue_wait_seconds,
from_reviewer, to_reviewer, escalation_level, resolution, service, service_version, environment,
provider, operation, request_model, response_model, model_fingerprint, prompt_name, prompt_version,
configuration, request_id, provider_request_id, response_id, conversation_id, user_id, agent_name,
tool_name, tool_call_id, finish_reason, confidence, confidence_source, input_tokens, output_tokens,
cache_read_tokens, cache_write_tokens, reasoning_tokens, evaluation_name, score, score_label,
trace_id, span_id, parent_span_id, name, status, error_type, scope_name, scope_version, convention,
capture_policy, producer, duplicate_of, remarks, attributes, attributes_json, resource_attributes,
resource_attributes_json, scope_attributes_json, otlp, span_events, links, content
