-- Remove a whole partition.
ALTER TABLE {table:Identifier} DROP PARTITION tuple({retention_class:String}, {month:UInt32})
