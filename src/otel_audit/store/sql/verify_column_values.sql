-- Values that the columns with few values have in a ledger: candidates for what an altered entry held. The list
-- is the LowCardinality(String) columns of schema version 1 but origin, in order: a test compares it with the schema.
SELECT
    groupUniqArray(200)(retention_class) AS retention_class,
    groupUniqArray(200)(event_type) AS event_type,
    groupUniqArray(200)(record_kind) AS record_kind,
    groupUniqArray(200)(task_kind) AS task_kind,
    groupUniqArray(200)(actor_type) AS actor_type,
    groupUniqArray(200)(decision) AS decision,
    groupUniqArray(200)(resolution) AS resolution,
    groupUniqArray(200)(service) AS service,
    groupUniqArray(200)(service_version) AS service_version,
    groupUniqArray(200)(environment) AS environment,
    groupUniqArray(200)(provider) AS provider,
    groupUniqArray(200)(operation) AS operation,
    groupUniqArray(200)(request_model) AS request_model,
    groupUniqArray(200)(response_model) AS response_model,
    groupUniqArray(200)(model_fingerprint) AS model_fingerprint,
    groupUniqArray(200)(prompt_name) AS prompt_name,
    groupUniqArray(200)(prompt_version) AS prompt_version,
    groupUniqArray(200)(agent_name) AS agent_name,
    groupUniqArray(200)(tool_name) AS tool_name,
    groupUniqArray(200)(confidence_source) AS confidence_source,
    groupUniqArray(200)(evaluation_name) AS evaluation_name,
    groupUniqArray(200)(score_label) AS score_label,
    groupUniqArray(200)(status) AS status,
    groupUniqArray(200)(error_type) AS error_type,
    groupUniqArray(200)(scope_name) AS scope_name,
    groupUniqArray(200)(scope_version) AS scope_version,
    groupUniqArray(200)(convention) AS convention,
    groupUniqArray(200)(capture_policy) AS capture_policy,
    groupUniqArray(200)(producer) AS producer
FROM audit_entries
WHERE origin = {origin:String}
