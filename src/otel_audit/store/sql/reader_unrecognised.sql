-- Records that look like GenAI by their attribute names, but that no convention recognised.
SELECT e.scope_name AS scope_name, count() AS events
FROM audit_entries AS e
WHERE e.convention = '' AND e.event_type IN ('span', 'log')
  AND arrayExists(
    key -> startsWith(key, 'gen_ai.') OR startsWith(key, 'llm.') OR startsWith(key, 'ai.') OR startsWith(key, 'openinference.')
        OR startsWith(key, 'traceloop.'),
    arrayConcat(mapKeys(e.attributes), mapKeys(e.attributes_json)))
GROUP BY scope_name
ORDER BY events DESC, scope_name
LIMIT {limit:UInt64}
