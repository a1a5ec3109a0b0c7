"""The values that travel between the parts of otel-audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypedDict

from otel_audit.semconv import AUDIT_ERASURE_STATEMENT, AUDIT_KEY_ROTATION_STATEMENT, AUDIT_RETENTION_STATEMENT

Pairs = Sequence[tuple[str, str]]
LOST_BYTES: Final = "loss:"  # event ids of bytes that nobody could read begin with it


class EventType(StrEnum):
    """What an entry tells. ``span`` and ``log`` are any record that is none of the others."""

    TASK_CREATED = "task.created"
    AI_CALL = "ai_call"
    TOOL_CALL = "tool_call"
    REVIEW = "review"
    ESCALATION = "escalation"
    RESOLUTION = "resolution"
    EVALUATION = "evaluation"
    ACCESS = "access"
    LOG_REVIEW = "log_review"
    ERASURE = "erasure"
    RETENTION = "retention"
    KEY_ROTATION = "key_rotation"
    LEDGER_OPENED = "ledger.opened"
    LEDGER_CLOSED = "ledger.closed"
    LOSS = "loss"
    SPAN = "span"
    LOG = "log"


# Entries of the trail itself that carry a signed statement, and the attribute that holds it. They are kept for ever,
# as they were signed: they must outlive what they explain.
STATEMENTS: Final = {
    EventType.ERASURE: AUDIT_ERASURE_STATEMENT,
    EventType.RETENTION: AUDIT_RETENTION_STATEMENT,
    EventType.KEY_ROTATION: AUDIT_KEY_ROTATION_STATEMENT,
}


class RecordKind(StrEnum):
    """What carried an event to the receiver."""

    SPAN = "span"
    LOG = "log"
    INTERNAL = "internal"


class EventColumns(TypedDict, total=False):
    """The columns an event may set; ``ledger.schema.EVENT_COLUMNS`` has their meaning and order.

    Times are nanoseconds since 1970, maps are (key, value) pairs in the order they arrived (OTLP
    allows a key twice, and nothing is lost here).
    """

    retention_class: str
    event_type: str
    event_id: str
    record_kind: str
    event_time: int
    end_time: int
    duration_ms: float | None
    task_id: str
    task_kind: str
    subject_ref: str
    actor_id: str
    actor_type: str
    reviewer_id: str
    decision: str
    rationale_code: Sequence[str]
    is_override: bool
    active_seconds: float | None
    idle_seconds: float | None
    queue_wait_seconds: float | None
    from_reviewer: str
    to_reviewer: str
    escalation_level: int
    resolution: str
    service: str
    service_version: str
    environment: str
    provider: str
    operation: str
    request_model: str
    response_model: str
    model_fingerprint: str
    prompt_name: str
    prompt_version: str
    configuration: Pairs
    request_id: str
    provider_request_id: str
    response_id: str
    conversation_id: str
    user_id: str
    agent_name: str
    tool_name: str
    tool_call_id: str
    finish_reason: Sequence[str]
    confidence: float | None
    confidence_source: str
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    evaluation_name: str
    score: float | None
    score_label: str
    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    status: str
    error_type: str
    scope_name: str
    scope_version: str
    convention: str
    capture_policy: str
    producer: str
    duplicate_of: str
    remarks: Sequence[str]
    attributes: Pairs
    attributes_json: Pairs
    resource_attributes: Pairs
    resource_attributes_json: Pairs
    scope_attributes_json: Pairs
    otlp: Pairs
    span_events: str
    links: str


@dataclass(slots=True)
class AuditEvent:
    """One event before it has a place in the ledger: its columns, and its texts by content name.

    The texts never enter the ledger: the entry holds a commitment to each, ``audit_content`` holds
    the text, and erasing it there leaves the ledger whole.
    """

    columns: EventColumns
    content: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries a reader asks for. Empty means "any"; all that is set must hold.

    ``since`` and ``until`` are nanoseconds since 1970 on ``event_time``, [since, until). ``text`` is
    words that must all occur, ignoring case, in the content or the identifying columns. ``sizes``
    freezes the view: of each ledger named, as (origin, size), only entries with ``seq`` below size,
    and nothing of any other ledger; so a count and the export after it agree while events arrive.
    ``beyond`` is the rest: what such a view did not have yet.
    ``action`` is what was done to the trail (VIEW, EXPORT, ...); confidences are 0 to 1, both ends included.

    ``model`` is either of what was asked for and what answered, ``asked_model`` and ``answering_model`` one of them.
    The fields that begin with ``task_`` (but ``task_id`` and ``task_kind``) ask for entries of tasks that one AI call
    with all of these answered. ``next_decision`` asks for escalations by what the next review of the task
    decided ("" is none yet). ``figure`` names the set behind a figure of the dashboard, a block of
    ``store/sql/figure_filters.sql``; the set ``quick`` reads ``quick_floor`` (seconds) and ``words_per_minute``.
    """

    task_id: str = ""
    reviewer_id: Sequence[str] = ()
    event_type: Sequence[str] = ()
    decision: Sequence[str] = ()
    model: Sequence[str] = ()
    service: Sequence[str] = ()
    environment: Sequence[str] = ()
    since: int | None = None
    until: int | None = None
    text: str = ""
    trace_id: str = ""
    request_id: str = ""
    response_id: str = ""
    conversation_id: str = ""
    exclude_event_type: Sequence[str] = ()
    prompt_version: Sequence[str] = ()
    sizes: Sequence[tuple[str, int]] = ()
    beyond: Sequence[tuple[str, int]] = ()
    actor_id: Sequence[str] = ()
    action: Sequence[str] = ()
    status: Sequence[str] = ()
    producer: Sequence[str] = ()
    confidence_from: float | None = None
    confidence_to: float | None = None
    task_kind: Sequence[str] = ()
    rationale_code: Sequence[str] = ()
    prompt_name: Sequence[str] = ()
    asked_model: Sequence[str] = ()
    answering_model: Sequence[str] = ()
    task_asked_model: Sequence[str] = ()
    task_answering_model: Sequence[str] = ()
    task_prompt_name: Sequence[str] = ()
    task_prompt_version: Sequence[str] = ()
    task_service: Sequence[str] = ()
    next_decision: Sequence[str] = ()
    figure: str = ""
    quick_floor: int | None = None
    words_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What of the record somebody may see: the entries within ``scope``, with their texts or without.

    A scope says what single entries have: of ``Filter`` it has no ``text``, ``sizes``, ``figure`` and nothing about
    the other entries of a task.
    """

    scope: Filter = Filter()
    texts: bool = True


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A ledger's state at one size: what a signed note says (C2SP tlog-checkpoint)."""

    origin: str
    size: int
    root_hash: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing ``verify`` found: ``code`` as in docs/design/threat-model.md."""

    code: str
    origin: str
    detail: str
    seq: int | None = None
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Reviews of one group. ``active`` and ``wait`` are median and 90th percentile in seconds, None without a value."""

    group: str
    reviews: int = 0
    tasks: int = 0
    people: int = 0
    decided: int = 0
    approved: int = 0
    modified: int = 0
    rejected: int = 0
    escalated: int = 0
    overrides: int = 0
    timed: int = 0
    active: tuple[float, float] | None = None
    waited: int = 0
    wait: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """How much a filter matches: entries, tasks, and the first and last event_time (None when empty)."""

    events: int
    tasks: int
    first_unix_nano: int | None
    last_unix_nano: int | None


@dataclass(frozen=True, slots=True)
class Called:
    """AI calls of one group. ``latency`` is median and 90th percentile in seconds, None without a value."""

    group: str
    calls: int = 0
    tasks: int = 0
    failed: int = 0
    timed: int = 0
    latency: tuple[float, float] | None = None
    counted: int = 0  # calls that say how many tokens
    input_tokens: int = 0
    output_tokens: int = 0
    first_unix_nano: int = 0


@dataclass(frozen=True, slots=True)
class QuickReview:
    """A review that took less time than reading takes. ``tokens`` are those of the task's last answer."""

    origin: str
    seq: int
    task_id: str
    task_kind: str
    decision: str
    end_time: int
    seconds: float
    tokens: int


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """First decisions on answers with a confidence in one tenth: how many, its mean, and how many were kept."""

    number: int
    reviews: int
    confidence: float
    kept: int
