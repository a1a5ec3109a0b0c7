SELECT e.event_type AS event_type, count() AS events
FROM audit_entries AS e
WHERE true /*filter*/
GROUP BY event_type
ORDER BY events DESC, event_type
