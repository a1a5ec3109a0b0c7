-- The signed statements that a ledger's entries of one type carry, in order.
SELECT seq, attributes[{attribute:String}] AS statement
FROM audit_entries
WHERE origin = {origin:String} AND seq < {size:UInt64} AND event_type = {event_type:String}
    AND mapContains(attributes, {attribute:String})
ORDER BY seq
