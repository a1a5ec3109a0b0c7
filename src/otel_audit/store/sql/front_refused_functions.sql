-- Functions that may reach files, networks or other SQL: all table functions (the front allows a few by name),
-- and the scalar ones that call an AI service.
SELECT lower(name) FROM system.table_functions
UNION DISTINCT
SELECT lower(name) FROM system.functions WHERE categories = 'AI'
