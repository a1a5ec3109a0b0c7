-- The tokens of the last answer in each of some tasks: asked for a few, of which the index on task_id finds the place.
SELECT
    task_id,
    argMax(ifNull(output_tokens, 0) - least(ifNull(reasoning_tokens, 0), ifNull(output_tokens, 0)), event_time) AS tokens
FROM audit_entries
WHERE task_id IN {tasks:Array(String)} AND task_id != '' AND event_type = 'ai_call' AND duplicate_of = ''
  AND status != 'error' AND error_type = ''
GROUP BY task_id
