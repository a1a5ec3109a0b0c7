-- One statement with parameters: the driver's insert() would load pandas first, which takes longer than the migration.
INSERT INTO audit_migrations (version, name, sha256, applied_at)
SELECT {version:UInt32}, {name:String}, {sha256:String}, fromUnixTimestamp64Nano({applied_unix_nano:Int64}, 'UTC')
