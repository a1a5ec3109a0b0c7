-- Tokens by group, UTC day, provider and model, for multiplying by a price. `unknown` are calls without a token count.
SELECT
    /*group*/ AS grp,
    toString(toDate(e.event_time)) AS day,
    e.provider AS provider,
    if(e.response_model = '', e.request_model, e.response_model) AS model,
    e.request_model AS asked_model,
    sum(ifNull(e.input_tokens, 0)) AS input_tokens,
    sum(ifNull(e.output_tokens, 0)) AS output_tokens,
    sum(ifNull(e.cache_read_tokens, 0)) AS cache_read_tokens,
    sum(ifNull(e.cache_write_tokens, 0)) AS cache_write_tokens
FROM audit_entries AS e
WHERE e.event_type = 'ai_call' AND e.duplicate_of = '' /*filter*/
GROUP BY grp, day, provider, model, asked_model
ORDER BY grp, day, provider, model, asked_model
