-- Records that look like GenAI, by attribute names, record name or scope, but that no convention recognised or could read.
-- The scopes with most of them by name; what is beyond the limit is counted together.
SELECT if(rank <= {limit:UInt64}, scope, 'other scopes') AS scope_name, sum(scope_events) AS events
FROM (
  SELECT e.scope_name AS scope, count() AS scope_events, row_number() OVER (ORDER BY count() DESC, e.scope_name) AS rank
  FROM audit_entries AS e
  WHERE e.convention = '' AND e.event_type IN ('span', 'log')
    AND (
      match(e.scope_name, '^(openinference\\.|opentelemetry\\.instrumentation\\.genai\\.|openlit\\b|traceloop\\b|langsmith\\b|langfuse|litellm$|pydantic-ai$|strands\\b|com\\.anthropic\\.sdk\\b)')
      OR startsWith(e.name, 'gen_ai.')
      OR arrayExists(remark -> startsWith(remark, 'convention_failed:'), e.remarks)
      OR arrayExists(
        key -> match(key, '^(gen_ai|llm|ai|openinference|traceloop|langsmith|langfuse)\\.'),
        arrayConcat(mapKeys(e.attributes), mapKeys(e.attributes_json)))
    )
  GROUP BY e.scope_name
)
GROUP BY scope_name
ORDER BY max(rank)
