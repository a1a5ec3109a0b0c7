"""The columns of an entry, in order: the schema that the hash binds (version 1, frozen).

An entry's encoding is the ClickHouse ``RowBinary`` form of every column below, in this order. The
stored table ``audit_entries`` has exactly these columns followed by ``hash``. See
``docs/design/ledger-format.md`` for the same list as a specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

SCHEMA_VERSION: Final = 1


class ColumnType(StrEnum):
    """ClickHouse types that an entry may use. Their RowBinary form is what gets hashed."""

    STRING = "String"
    NAME = "LowCardinality(String)"  # RowBinary writes it exactly like String
    UINT16 = "UInt16"
    UINT64 = "UInt64"
    BOOL = "Bool"
    TIME = "DateTime64(9, 'UTC')"  # Int64 nanoseconds since 1970-01-01T00:00:00Z
    HASH = "FixedString(32)"
    OPTIONAL_FLOAT = "Nullable(Float64)"
    OPTIONAL_COUNT = "Nullable(UInt64)"
    STRINGS = "Array(String)"
    STRING_MAP = "Map(LowCardinality(String), String)"
    HASH_MAP = "Map(LowCardinality(String), FixedString(32))"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an entry: its name (the vocabulary of CSV, JSONL and SQL), type and meaning."""

    name: str
    type: ColumnType
    meaning: str

    @property
    def default(self) -> Any:
        """What the column holds when an event says nothing about it."""
        return _DEFAULTS[self.type]


_DEFAULTS: Final[dict[ColumnType, Any]] = {
    ColumnType.STRING: "",
    ColumnType.NAME: "",
    ColumnType.UINT16: 0,
    ColumnType.UINT64: 0,
    ColumnType.BOOL: False,
    ColumnType.TIME: 0,
    ColumnType.HASH: bytes(32),
    ColumnType.OPTIONAL_FLOAT: None,
    ColumnType.OPTIONAL_COUNT: None,
    ColumnType.STRINGS: (),
    ColumnType.STRING_MAP: (),
    ColumnType.HASH_MAP: {},
}
_T = ColumnType

# Given by the sequencer, the single writer. Everything after them is known before sequencing.
POSITION_COLUMNS: Final = (
    Column("schema_version", _T.UINT16, "version of this list of columns"),
    Column("origin", _T.NAME, "name of the ledger"),
    Column("seq", _T.UINT64, "position in the ledger, contiguous from 0"),
    Column("prev_hash", _T.HASH, "hash of entry seq - 1; SHA-256(origin) for seq 0"),
    Column("recorded_at", _T.TIME, "when the receiver sequenced the entry"),
)

EVENT_COLUMNS: Final = (
    Column("retention_class", _T.NAME, "how long the entry is kept: the partition key with the month"),
    Column("event_type", _T.NAME, "what happened: ai_call, review, escalation, ..."),
    Column("event_id", _T.STRING, "identity of the producer's record; a retry has the same one"),
    Column("record_kind", _T.NAME, "what carried it: span, log or internal (the trail itself)"),
    Column("event_time", _T.TIME, "when it began, by the producer's clock"),
    Column("end_time", _T.TIME, "when it ended or was decided; equals event_time for a point in time"),
    Column("duration_ms", _T.OPTIONAL_FLOAT, "milliseconds from event_time to end_time; null for a point in time"),
    Column("task_id", _T.STRING, "the task it belongs to"),
    Column("task_kind", _T.NAME, "kind of task, such as credit_decision"),
    Column("subject_ref", _T.STRING, "reference to the person or case concerned; never a name"),
    Column("actor_id", _T.STRING, "who or what did it"),
    Column("actor_type", _T.NAME, "user, service or system"),
    Column("reviewer_id", _T.STRING, "the person who reviewed, escalated or resolved"),
    Column("decision", _T.NAME, "approved, rejected, modified, escalated, abandoned or the customer's own"),
    Column("rationale_code", _T.STRINGS, "codes from the customer's own list of reasons"),
    Column("is_override", _T.BOOL, "the person decided against the AI's proposal"),
    Column("active_seconds", _T.OPTIONAL_FLOAT, "seconds the reviewer was actively on it"),
    Column("idle_seconds", _T.OPTIONAL_FLOAT, "seconds it was open without activity"),
    Column("queue_wait_seconds", _T.OPTIONAL_FLOAT, "seconds it waited before it was opened"),
    Column("from_reviewer", _T.STRING, "who escalated"),
    Column("to_reviewer", _T.STRING, "who it was escalated to"),
    Column("escalation_level", _T.UINT16, "level it was escalated to; 0 when it is not an escalation"),
    Column("resolution", _T.NAME, "how the task ended"),
    Column("service", _T.NAME, "service.name of the producer"),
    Column("service_version", _T.NAME, "service.version of the producer"),
    Column("environment", _T.NAME, "deployment.environment.name of the producer"),
    Column("provider", _T.NAME, "AI provider, such as openai"),
    Column("operation", _T.NAME, "GenAI operation: chat, embeddings, execute_tool, ..."),
    Column("request_model", _T.NAME, "model asked for"),
    Column("response_model", _T.NAME, "model that answered"),
    Column("model_fingerprint", _T.NAME, "provider's fingerprint of the serving configuration"),
    Column("prompt_name", _T.NAME, "name of the prompt template"),
    Column("prompt_version", _T.NAME, "version of the prompt template"),
    Column("configuration", _T.STRING_MAP, "stated settings of the call (temperature, seed, ...) as JSON values"),
    Column("request_id", _T.STRING, "request id of the calling application"),
    Column("provider_request_id", _T.STRING, "request id given by the AI provider"),
    Column("response_id", _T.STRING, "response id given by the AI provider"),
    Column("conversation_id", _T.STRING, "conversation or session"),
    Column("user_id", _T.STRING, "end user as the producer names them (a pseudonym)"),
    Column("agent_name", _T.NAME, "agent that acted"),
    Column("tool_name", _T.NAME, "tool that was called"),
    Column("tool_call_id", _T.STRING, "id that ties a tool call to the AI call that asked for it"),
    Column("finish_reason", _T.STRINGS, "why the model stopped, one per choice"),
    Column("confidence", _T.OPTIONAL_FLOAT, "confidence in the output, 0 to 1"),
    Column("confidence_source", _T.NAME, "where the confidence comes from: given, parsed or logprobs"),
    Column("input_tokens", _T.OPTIONAL_COUNT, "tokens in"),
    Column("output_tokens", _T.OPTIONAL_COUNT, "tokens out"),
    Column("cache_read_tokens", _T.OPTIONAL_COUNT, "input tokens read from the provider's cache"),
    Column("cache_write_tokens", _T.OPTIONAL_COUNT, "input tokens written to the provider's cache"),
    Column("reasoning_tokens", _T.OPTIONAL_COUNT, "output tokens spent on reasoning"),
    Column("evaluation_name", _T.NAME, "name of the evaluation"),
    Column("score", _T.OPTIONAL_FLOAT, "score of the evaluation"),
    Column("score_label", _T.NAME, "label of the evaluation"),
    Column("trace_id", _T.STRING, "trace, lower-case hex"),
    Column("span_id", _T.STRING, "span, lower-case hex"),
    Column("parent_span_id", _T.STRING, "parent span, lower-case hex"),
    Column("name", _T.STRING, "span name or log event name"),
    Column("status", _T.NAME, "span status: unset, ok or error; empty for logs"),
    Column("error_type", _T.NAME, "class of error, such as a status code or exception type"),
    Column("scope_name", _T.NAME, "instrumentation scope that produced the record"),
    Column("scope_version", _T.NAME, "its version"),
    Column("convention", _T.NAME, "convention the record was recognised by; empty when none"),
    Column("capture_policy", _T.NAME, "name and version of the capture policy that was applied"),
    Column("producer", _T.NAME, "telemetry SDK of the producer: name/language/version"),
    Column("duplicate_of", _T.STRING, "span id of the record that already tells this AI call"),
    Column("remarks", _T.STRINGS, "what the receiver noticed, such as invalid_utf8 or id_conflict:12"),
    Column("attributes", _T.STRING_MAP, "attributes whose value is a string"),
    Column("attributes_json", _T.STRING_MAP, "attributes of any other type, as typed JSON"),
    Column("resource_attributes", _T.STRING_MAP, "resource attributes whose value is a string"),
    Column("resource_attributes_json", _T.STRING_MAP, "resource attributes of any other type"),
    Column("scope_attributes_json", _T.STRING_MAP, "scope attributes, as typed JSON"),
    Column("otlp", _T.STRING_MAP, "remaining fields of the OTLP record as sent"),
    Column("span_events", _T.STRING, "span events, JSON; empty when there are none"),
    Column("links", _T.STRING, "span links, JSON; empty when there are none"),
    Column("content", _T.HASH_MAP, "name of each text kept in audit_content, and the commitment to it"),
)

COLUMNS: Final = POSITION_COLUMNS + EVENT_COLUMNS
HASH_COLUMN: Final = Column("hash", _T.HASH, "SHA-256(0x00 || encoding): the leaf hash and the next prev_hash")
STORED_COLUMNS: Final = (*COLUMNS, HASH_COLUMN)
COLUMN_NAMES: Final = tuple(column.name for column in COLUMNS)
