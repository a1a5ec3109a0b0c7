-- The scopes of the matching records with most of them by name; what is beyond the limit is counted together.
SELECT if(rank <= {limit:UInt64}, scope, 'other scopes') AS scope_name, sum(scope_events) AS events
FROM (
  SELECT e.scope_name AS scope, count() AS scope_events, row_number() OVER (ORDER BY count() DESC, e.scope_name) AS rank
  FROM audit_entries AS e
  WHERE true /*filter*/
  GROUP BY e.scope_name
)
GROUP BY scope_name
ORDER BY max(rank)
