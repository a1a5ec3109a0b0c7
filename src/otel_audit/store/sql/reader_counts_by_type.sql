-- AI calls count once, however many instrumentations reported them: what tells one again has a kind of its own.
SELECT if(e.duplicate_of = '', e.event_type, 'reported_again') AS event_type, count() AS events
FROM audit_entries AS e
WHERE true /*filter*/
GROUP BY event_type
ORDER BY events DESC, event_type
