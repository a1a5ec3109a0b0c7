"""Which AI calls are told twice: by two instrumentations, or by a span and a log record of it.

All of them are kept. All but one get ``duplicate_of``, the span id of the one that counts, and statistics leave them
out. Two records tell the same call when

1. both have the provider's response id, the same one, and they are of one trace, or of one service with the time of
   one within the time of the other (two instrumentations that do not see each other start two traces). A cached answer
   that is given again later, in another trace, is another call;
2. or they are a span and a log record with the same span id (of a span that was not sampled: the log record of a
   sampled one is no AI call);
3. or one is the parent of the other, one of them has no response id, model and token counts do not contradict each
   other, and the parent has no other child that tells the same call. So an agent is not the duplicate of its calls.

In 1 and 3 they come from different scopes: what one instrumentation tells twice are two calls.

Which one counts: the one that is in the ledger already. Among those that are sequenced together it is a span before a
log record, the one that tells more (token counts, answer, prompt, response id, in this order), the inner one (the
child is nearer to the provider), and then the one that came first. Not all records of a call need to have its token
counts: add them up by ``if(duplicate_of = '', span_id, duplicate_of)``, one a call. A log record without a span id
can be linked, but nothing can be linked to it: when it is recorded first, both count.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from otel_audit.model import AuditEvent, EventType, RecordKind

CAPACITY: Final = 100_000  # AI calls remembered, some 0.8 kB each
_AI_CALL: Final = EventType.AI_CALL
_TRACE_BYTES: Final = 16


@dataclass(slots=True, eq=False)
class Call:
    """What telling one AI call from another needs of its record. Times are nanoseconds since 1970.

    ``span`` and ``parent`` are trace id and span id in bytes, empty where the record has none.
    """

    span: bytes
    parent: bytes
    response_id: str
    start: int
    end: int
    scope: str
    service: str
    models: tuple[str, str]
    tokens: tuple[int | None, int | None]
    is_log: bool
    embeds: bool
    tells: int  # how much it tells: only compared among calls that are sequenced together
    duplicate_of: str = ""

    @property
    def span_id(self) -> str:
        """Its own span id, lower-case hex."""
        return self.span[_TRACE_BYTES:].hex()

    @property
    def counts_as(self) -> str:
        """The span id of the call that counts: its own or that of the one it repeats."""
        return self.duplicate_of or self.span_id


def call_of(columns: Any, texts: Collection[str] = ()) -> Call | None:
    """The call that an event's columns tell; None when it is no AI call. ``texts`` are the names of its content."""
    if columns.get("event_type") != _AI_CALL:
        return None
    trace_id, get = columns.get("trace_id", ""), columns.get
    tokens = (get("input_tokens"), get("output_tokens"))
    response_id = get("response_id", "")
    return Call(
        _key(trace_id, get("span_id", "")),
        _key(trace_id, get("parent_span_id", "")),
        response_id,
        get("event_time", 0),
        get("end_time", 0),
        sys.intern(get("scope_name", "")),
        sys.intern(get("service", "")),
        (sys.intern(get("request_model", "")), sys.intern(get("response_model", ""))),
        tokens,
        get("record_kind") == RecordKind.LOG,
        get("operation") == "embeddings",
        8 * (tokens != (None, None)) + 4 * ("output" in texts) + 2 * ("input" in texts) + bool(response_id),
        get("duplicate_of", ""),
    )


def _key(trace_id: str, span_id: str) -> bytes:
    if len(trace_id) != 2 * _TRACE_BYTES or len(span_id) != 16:
        return b""
    try:
        return bytes.fromhex(trace_id + span_id)
    except ValueError:
        return b""


class _Index:
    """Calls by response id, by span and by parent. Forgets the oldest beyond ``capacity``."""

    def __init__(self, capacity: int = sys.maxsize) -> None:
        self._capacity = capacity
        self._calls: dict[Call, None] = {}  # oldest first
        # One call, or a list of several, a key: most keys have one.
        self._by_response: dict[str, Call | list[Call]] = {}
        self._by_span: dict[bytes, Call | list[Call]] = {}
        self._by_parent: dict[bytes, Call | list[Call]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> None:
        self._calls[call] = None
        for table, key in self._places(call):
            there = table.get(key)
            if there is None:
                table[key] = call
            elif isinstance(there, list):
                there.append(call)
            else:
                table[key] = [there, call]
        if len(self._calls) > self._capacity:
            self._forget(next(iter(self._calls)))

    def _forget(self, call: Call) -> None:
        del self._calls[call]
        for table, key in self._places(call):
            there = table[key]
            if isinstance(there, list) and len(there) > 1:
                there.remove(call)
            else:
                del table[key]

    def _places(self, call: Call) -> Iterator[tuple[dict[Any, Call | list[Call]], Any]]:
        for table, key in (
            (self._by_response, call.response_id),
            (self._by_span, call.span),
            (self._by_parent, call.parent),
        ):
            if key:
                yield table, key

    def of_response(self, call: Call) -> Sequence[Call]:
        return _listed(self._by_response.get(call.response_id)) if call.response_id else ()

    def of_span(self, span: bytes) -> Sequence[Call]:
        return _listed(self._by_span.get(span)) if span else ()

    def of_parent(self, span: bytes) -> Sequence[Call]:
        return _listed(self._by_parent.get(span)) if span else ()


def _listed(found: Call | list[Call] | None) -> Sequence[Call]:
    return () if found is None else found if isinstance(found, list) else (found,)


class Duplicates:
    """Remembers the newest AI calls of a ledger. Owned by the sequencer's thread."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._stored = _Index(capacity)

    def __len__(self) -> int:
        return len(self._stored)

    def link(self, events: Iterable[AuditEvent]) -> list[Call | None]:
        """The call of each event that is about to be stored, with ``duplicate_of`` set; None for all other events.

        Changes nothing here: what was stored is told by ``remember`` afterwards. So events that did not reach the
        store are judged afresh when they come again.
        """
        calls = [call_of(event.columns, event.content) for event in events]
        together = _Index()
        clusters: dict[Call, _Cluster] = {}
        for call in calls:
            if call is None:
                continue
            near = self._find(call, together, together)
            cluster = clusters[call] = _Cluster() if near is None else clusters[near]
            cluster.calls.append(call)
            stored = self._find(call, self._stored, together)
            if stored is not None and stored.duplicate_of != call.span_id:  # else it waits for this very call
                cluster.stored = stored.counts_as
            cluster.point()
            together.add(call)
        return calls

    def remember(self, calls: Iterable[Call]) -> None:
        """These calls are in the ledger now."""
        for call in calls:
            self._stored.add(call)

    def _find(self, call: Call, within: _Index, together: _Index) -> Call | None:
        """A call in ``within`` that is the same, and that a link can name."""
        for other in within.of_response(call):
            if _same_response(call, other) and other.counts_as:
                return other
        for other in within.of_span(call.span):
            if other.is_log != call.is_log:
                return other
        for other in within.of_span(call.parent):
            if _kin(other, call) and not _has_child(other, (self._stored, together)):
                return other
        for other in within.of_parent(call.span):
            if _kin(call, other):
                return other
        return None


@dataclass(slots=True)
class _Cluster:
    """Calls sequenced together that are the same call; ``stored`` counts for them if it is in the ledger already."""

    calls: list[Call] = field(default_factory=list)
    stored: str = ""

    def point(self) -> None:
        """Let all of them, or all but the best, name the one that counts."""
        parents = {call.parent for call in self.calls}
        best = max(  # the first of equals
            self.calls, key=lambda call: (bool(call.span), not call.is_log, call.tells, call.span not in parents)
        )
        for call in self.calls:
            call.duplicate_of = self.stored or ("" if call is best else best.span_id)


def _same_response(one: Call, other: Call) -> bool:
    if one.scope == other.scope and one.is_log == other.is_log:
        return False
    if one.span and one.span[:_TRACE_BYTES] == other.span[:_TRACE_BYTES]:
        return one.span != other.span or one.is_log != other.is_log
    first, second = (one, other) if one.end - one.start >= other.end - other.start else (other, one)
    return one.service == other.service and first.start <= second.start and second.end <= first.end


def _kin(parent: Call, child: Call) -> bool:
    """Parent and child that tell the same call, as far as they tell."""
    return (
        parent.span == child.parent
        and not parent.is_log
        and not child.is_log
        and parent.scope != child.scope
        and not (parent.response_id and child.response_id)
        and parent.embeds == child.embeds
        and any(model and model in child.models for model in parent.models)
        and all(a == b for a, b in zip(parent.tokens, child.tokens, strict=True) if a is not None and b is not None)
    )


def _has_child(parent: Call, indexes: Sequence[_Index]) -> bool:
    """Whether another child tells the parent's call already."""
    children = itertools.chain.from_iterable(index.of_parent(parent.span) for index in indexes)
    return any(child.counts_as == parent.counts_as for child in children)
