-- First decisions (Filter.figure = 'first_decisions'), counted once for each thing to group by. `dim` is '' for all,
-- 'reviewing' for the service of the review, 'day' for local day and decision, 'bin' for tenths of the stated
-- confidence, else a name of analytics_groups.sql, of the task's AI calls: a task that two answered counts for both.
-- One pass, which lays each task's reviews and calls side by side: asked one by one, each costs a join of all tasks.
-- Tasks that are alike are counted together before they are spread over the groups.
SELECT
    pair.1 AS dim,
    pair.2 AS grp,
    sum(n) AS reviews,
    sumIf(n, decision = 'approved') AS approved,
    sumIf(n, decision IN ('modified', 'edited')) AS modified,
    sumIf(n, decision = 'rejected') AS rejected,
    sumIf(n, decision = 'escalated') AS escalated,
    sumIf(n, overridden) AS overrides,
    sum(stated_sum) / sum(n) AS confidence,
    sumIf(n, NOT overridden AND decision != 'rejected') AS kept
FROM (
    SELECT
        toString(review.2) AS decision,
        review.3 AS overridden,
        toString(review.4) AS kind,
        toString(review.5) AS reviewing,
        toDate(toTimeZone(review.1, {zone:String})) AS day,
        if(stated < 0, -1, toInt8(least(9, floor(stated * 10)))) AS bin,
        calls,
        count() AS n,
        sum(stated) AS stated_sum
    FROM (
        SELECT
            groupArrayIf(
                (e.end_time, e.decision, e.is_override, e.task_kind, e.service, true /*filter*/),
                e.event_type = 'review') AS reviews,
            groupUniqArrayIf(
                (toString(/*model*/), toString(/*model_version*/), /*prompt*/, toString(/*service*/)),
                e.event_type = 'ai_call') AS calls,
            argMaxIf(ifNull(e.confidence, -1), e.event_time, e.event_type = 'ai_call') AS stated
        FROM audit_entries AS e
        WHERE e.duplicate_of = '' AND e.task_id != ''
          AND ((e.event_type = 'review' AND e.decision NOT IN ('', 'abandoned'))
               OR (e.event_type = 'ai_call' AND e.status != 'error' AND e.error_type = ''))
          /*tasks*/
        GROUP BY e.task_id
        HAVING notEmpty(calls) AND notEmpty(reviews)
    )
    ARRAY JOIN arrayFilter(each -> each.6 AND each.1 = arrayMin(reviews.1), reviews) AS review
    GROUP BY decision, overridden, kind, reviewing, day, bin, calls
)
ARRAY JOIN arrayConcat(
    [('', ''), ('kind', kind), ('reviewing', reviewing), ('day', concat(toString(day), '\n', decision))],
    if(bin >= 0 AND decision != 'escalated', [('bin', toString(bin))], []),
    arrayDistinct(arrayMap(call -> ('model', call.1), calls)),
    arrayDistinct(arrayMap(call -> ('model_version', call.2), calls)),
    arrayDistinct(arrayMap(call -> ('prompt', call.3), calls)),
    arrayDistinct(arrayMap(call -> ('service', call.4), calls))
) AS pair
GROUP BY dim, grp
ORDER BY dim, grp
