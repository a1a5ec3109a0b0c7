-- The ledger's tables. audit_entries has exactly the columns of otel_audit.ledger.schema, in order, then hash:
-- a test compares the two. Nothing ever updates a row of these tables, and only an erasure deletes rows: texts.
CREATE TABLE IF NOT EXISTS audit_entries
(
    schema_version UInt16,
    origin LowCardinality(String),
    seq UInt64 CODEC(Delta, ZSTD(1)),
    prev_hash FixedString(32) CODEC(NONE),
    recorded_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    retention_class LowCardinality(String),
    event_type LowCardinality(String),
    event_id String CODEC(ZSTD(1)),
    record_kind LowCardinality(String),
    event_time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    end_time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    duration_ms Nullable(Float64),
    task_id String,
    task_kind LowCardinality(String),
    subject_ref String,
    actor_id String,
    actor_type LowCardinality(String),
    reviewer_id String,
    decision LowCardinality(String),
    rationale_code Array(String),
    is_override Bool,
    active_seconds Nullable(Float64),
    idle_seconds Nullable(Float64),
    queue_wait_seconds Nullable(Float64),
    from_reviewer String,
    to_reviewer String,
    escalation_level UInt16,
    resolution LowCardinality(String),
    service LowCardinality(String),
    service_version LowCardinality(String),
    environment LowCardinality(String),
    provider LowCardinality(String),
    operation LowCardinality(String),
    request_model LowCardinality(String),
    response_model LowCardinality(String),
    model_fingerprint LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    configuration Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    request_id String,
    provider_request_id String,
    response_id String,
    conversation_id String,
    user_id String,
    agent_name LowCardinality(String),
    tool_name LowCardinality(String),
    tool_call_id String,
    finish_reason Array(String),
    confidence Nullable(Float64),
    confidence_source LowCardinality(String),
    input_tokens Nullable(UInt64),
    output_tokens Nullable(UInt64),
    cache_read_tokens Nullable(UInt64),
    cache_write_tokens Nullable(UInt64),
    reasoning_tokens Nullable(UInt64),
    evaluation_name LowCardinality(String),
    score Nullable(Float64),
    score_label LowCardinality(String),
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    parent_span_id String CODEC(ZSTD(1)),
    name String,
    status LowCardinality(String),
    error_type LowCardinality(String),
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    convention LowCardinality(String),
    capture_policy LowCardinality(String),
    producer LowCardinality(String),
    duplicate_of String,
    remarks Array(String),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    attributes_json Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    resource_attributes Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    resource_attributes_json Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    scope_attributes_json Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    otlp Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    span_events String,
    links String,
    content Map(LowCardinality(String), FixedString(32)) CODEC(ZSTD(1)),
    hash FixedString(32) CODEC(NONE),
    INDEX by_task task_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_reviewer reviewer_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_request request_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_response response_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY (retention_class, toYYYYMM(recorded_at))
ORDER BY (origin, seq)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, merge_selector_base = 10, min_bytes_for_wide_part = 67108864;

-- Texts, apart from the ledger so that they can be erased. An entry's `content` column commits to each;
-- a row whose commitment no entry has is an orphan of an insert that failed, and is harmless.
-- Made from audit_sealed where it is missing, and never backed up: in the embedded engine it lies on a disk of its own.
-- What a mutation replaced is removed from the disk after a second.
CREATE TABLE IF NOT EXISTS audit_content
(
    origin LowCardinality(String),
    seq UInt64 CODEC(Delta, ZSTD(1)),
    name LowCardinality(String),
    commitment FixedString(32) CODEC(NONE),
    opening FixedString(32) CODEC(NONE),
    value String CODEC(ZSTD(3)),
    retention_class LowCardinality(String),
    recorded_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX words lowerUTF8(value) TYPE text(tokenizer = 'splitByNonAlpha')
)
ENGINE = MergeTree
PARTITION BY (retention_class, toYYYYMM(recorded_at))
ORDER BY (origin, seq, name)
SETTINGS
    fsync_after_insert = 1, fsync_part_directory = 1, storage_policy = {texts_policy:String},
    old_parts_lifetime = 1, cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 2;

-- The same texts, sealed: all texts of one entry in one value, under a data key that is not in the database.
-- Who has a copy of this table has nothing once the key is destroyed. docs/design/ledger-format.md has the format.
CREATE TABLE IF NOT EXISTS audit_sealed
(
    origin LowCardinality(String),
    seq UInt64 CODEC(Delta, ZSTD(1)),
    key_id FixedString(16),
    sealed String CODEC(NONE),
    retention_class LowCardinality(String),
    recorded_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY (retention_class, toYYYYMM(recorded_at))
ORDER BY (origin, seq)
SETTINGS
    fsync_after_insert = 1, fsync_part_directory = 1,
    old_parts_lifetime = 1, cleanup_delay_period = 1, cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 2;

-- Full Merkle hash tiles (C2SP tlog-tiles: 256 hashes of 32 bytes). Kept for ever.
CREATE TABLE IF NOT EXISTS audit_tiles
(
    origin LowCardinality(String),
    level UInt8,
    tile_index UInt64,
    hashes String CODEC(NONE)
)
ENGINE = MergeTree
ORDER BY (origin, level, tile_index)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Signed checkpoints (C2SP tlog-checkpoint in a signed note). Kept for ever.
CREATE TABLE IF NOT EXISTS audit_checkpoints
(
    origin LowCardinality(String),
    size UInt64,
    root_hash FixedString(32) CODEC(NONE),
    created_at DateTime64(9, 'UTC'),
    note String
)
ENGINE = MergeTree
ORDER BY (origin, size)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Who writes which ledger. Claiming an epoch is atomic: the second insert with the same deduplication token
-- is dropped by the engine, and reading the epoch back tells whose claim stands.
CREATE TABLE IF NOT EXISTS audit_writers
(
    origin LowCardinality(String),
    epoch UInt64,
    writer_id String,
    claimed_at DateTime64(9, 'UTC')
)
ENGINE = MergeTree
ORDER BY (origin, epoch)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
