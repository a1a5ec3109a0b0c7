-- Remove a ledger's rows from a partition that other ledgers have rows in, too.
ALTER TABLE {table:Identifier} DELETE IN PARTITION tuple({retention_class:String}, {month:UInt32})
WHERE origin = {origin:String}
