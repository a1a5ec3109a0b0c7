-- How many reviews took from each bin's lower edge up to the next edge. Edges are seconds, ascending, the first is 0.
SELECT roundDown(greatest(0, assumeNotNull(seconds)), {edges:Array(Float64)}) AS low, count() AS reviews
FROM (
    SELECT /*seconds*/ AS seconds
    FROM audit_entries AS e
    WHERE e.event_type = 'review' AND e.duplicate_of = '' /*filter*/
)
WHERE seconds IS NOT NULL
GROUP BY low
ORDER BY low
