-- Entries of one ledger whose texts an erasure is about. Of a subject: its own entries, those of its tasks that name
-- no subject, and records of the same spans that name neither (what an instrumentation tells in a log record).
WITH
    (
        SELECT groupUniqArray(task_id) FROM audit_entries
        WHERE origin = {origin:String} AND task_id != '' AND subject_ref IN {subjects:Array(String)}
    ) AS subject_tasks,
    picked AS (
        SELECT trace_id, span_id FROM audit_entries
        WHERE
            origin = {origin:String} AND span_id != ''
            AND (
                subject_ref IN {subjects:Array(String)} OR (subject_ref = '' AND has(subject_tasks, task_id))
                OR task_id IN {tasks:Array(String)}
            )
    )
SELECT seq, task_id, mapValues(content) AS commitments
FROM audit_entries
WHERE
    origin = {origin:String} AND notEmpty(content)
    AND (
        subject_ref IN {subjects:Array(String)}
        OR (subject_ref = '' AND has(subject_tasks, task_id))
        OR task_id IN {tasks:Array(String)}
        OR (subject_ref = '' AND task_id = '' AND span_id != '' AND (trace_id, span_id) IN picked)
        OR arrayExists(range -> seq >= range.1 AND seq <= range.2, {ranges:Array(Tuple(UInt64, UInt64))})
    )
ORDER BY seq
