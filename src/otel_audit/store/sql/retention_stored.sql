-- How many rows of a ledger, and of others, one partition of one table holds.
SELECT countIf(origin = {origin:String}) AS own, countIf(origin != {origin:String}) AS others
FROM {table:Identifier}
WHERE retention_class = {retention_class:String} AND toYYYYMM(recorded_at) = {month:UInt32}
