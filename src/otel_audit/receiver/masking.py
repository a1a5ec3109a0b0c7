"""The capture policy, applied to every event of the receiver whatever brought it.

Complete by construction: each column that can hold a producer's text has a rule here, a test goes through the
schema, and an event without its rules can't be prepared. Nothing is skipped because an application already masked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from otel_audit.ledger.schema import EVENT_COLUMNS, ColumnType
from otel_audit.model import AuditEvent, EventColumns, Pairs
from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import CapturePolicy, Mode, stricter
from otel_audit.privacy.redactor import Redactor
from otel_audit.receiver.references import is_reference_hash
from otel_audit.semconv import AUDIT_CAPTURE_POLICY

_GIVEN_ID: Final = "record:"
_MARKER: Final = "content:"  # docs/design/normalising.md
_LABEL: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}/[A-Za-z0-9_.-]{1,64}")
_REMEMBERED_MAPS: Final = 256
_REMEMBERED_PAIRS: Final = 1 << 14
_SHORT: Final = 256  # characters of what is remembered

# Columns that hold a word of the receiver's own, never one of a producer's.
OWN_WORDS: Final = {
    "retention_class": "one of prepare.RETENTION_CLASSES",
    "event_type": "one of model.EventType: producers choose among these",
    "record_kind": "span, log or internal",
    "status": "unset, ok or error",
    "convention": "name of a convention module",
    "capture_policy": "label of the policies, checked by _LABEL",
    "duplicate_of": "span id in hex, made by the receiver",
}
# Hexadecimal of the record's bytes; one of a wrong length may spell anything, and is searched as text.
HEX_IDS: Final = {"trace_id": 32, "span_id": 16, "parent_span_id": 16}
# What things are called. Everything else is an id or a version, where a false alarm would cut what joins records.
NAMES: Final = frozenset(
    {
        "name",
        "task_kind",
        "decision",
        "rationale_code",
        "resolution",
        "agent_name",
        "tool_name",
        "prompt_name",
        "evaluation_name",
        "score_label",
        "error_type",
        "scope_name",
        "finish_reason",
    }
)
MAPS: Final = frozenset(column.name for column in EVENT_COLUMNS if column.type is ColumnType.STRING_MAP)
JSON_COLUMNS: Final = frozenset({"span_events", "links"})
_JSON_MAPS: Final = frozenset({"configuration", "attributes_json", "resource_attributes_json", "scope_attributes_json"})
_TEXTUAL: Final = frozenset({ColumnType.STRING, ColumnType.NAME})
IDS: Final = frozenset(
    column.name
    for column in EVENT_COLUMNS
    if column.type in _TEXTUAL | {ColumnType.STRINGS}
    and column.name not in NAMES | JSON_COLUMNS | OWN_WORDS.keys() | HEX_IDS.keys()
)
# Left as they are: numbers and flags, and the receiver's own words.
_LEFT: Final = {column.name for column in EVENT_COLUMNS if column.type not in _TEXTUAL} - MAPS - {
    column.name for column in EVENT_COLUMNS if column.type is ColumnType.STRINGS
} | OWN_WORDS.keys()
_OWN_NUMBERS: Final = re.compile(r"kind|flags|severity_number|status_code|absent_\w+|\w*_order|\w*_count|\w*unix_nano")
_PLACE: Final = re.compile(r"(?:(?:resource_|scope_)?attributes|span_events\.\d+|links\.\d+)\.")
_REPEAT: Final = re.compile(r"#\d+$")
# Assembled texts, and the attribute whose mode counts for them as well.
_ALIASES: Final = {
    "input": "gen_ai.input.messages",
    "output": "gen_ai.output.messages",
    "system_instructions": "gen_ai.system_instructions",
    "tool_definitions": "gen_ai.tool.definitions",
    "tool_arguments": "gen_ai.tool.call.arguments",
    "tool_result": "gen_ai.tool.call.result",
    "rationale": "audit.rationale.text",
    "before": "audit.change.before",
    "after": "audit.change.after",
}
_UNREADABLE: Final = frozenset({"raw", "raw_resource", "raw_scope", "raw_schema_url", "raw_resource_schema_url"})


class Masking:
    """One policy with its keys. Safe to share between threads."""

    def __init__(self, policy: CapturePolicy, keys: PseudonymKeys) -> None:
        self.policy = policy
        self._is_full = policy.rules.mode is Mode.FULL and not policy.rules.attributes and not policy.services
        self._default = _ServiceMasking(Redactor(policy, keys))
        self._services = {
            service: _ServiceMasking(Redactor(policy, keys, service=service)) for service in policy.services
        }

    def __call__(self, event: AuditEvent) -> AuditEvent:
        """The event as the policy lets it be stored; ``event`` itself is left as it is."""
        columns = event.columns
        label = self._label(columns)
        if self._is_full:
            return AuditEvent({**columns, "capture_policy": label}, event.content)
        masked = self._services.get(columns.get("service", ""), self._default).apply(event)
        masked.columns["capture_policy"] = label
        return masked

    def _label(self, columns: EventColumns) -> str:
        own = self.policy.label
        for key, text in columns.get("attributes", ()):
            if key == AUDIT_CAPTURE_POLICY:
                return f"{text}+{own}" if text != own and _LABEL.fullmatch(text) else own
        return own


def stored_forms(policy: CapturePolicy, keys: PseudonymKeys) -> Callable[[str, str], list[str]]:
    """What tells (column, value) -> how the value may be stored: as it is, or masked with any of the keys."""
    masks = [Masking(policy, PseudonymKeys((key,))) for key in keys.keys]

    def forms(column: str, value: str) -> list[str]:
        masked = [mask(_of_one(column, value)).columns for mask in masks]
        return list(dict.fromkeys([value, *(str(columns.get(column, value)) for columns in masked)]))

    return forms


def _of_one(column: str, value: str) -> AuditEvent:
    columns: Any = {column: value}
    return AuditEvent(columns)


class _ServiceMasking:
    """The policy for the events of one service."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        # By column: what is known already, and how to find out what is not. Shared by the columns of a kind.
        self._plain: dict[str, tuple[dict[str, str], Callable[[str], str]]] = {
            **dict.fromkeys(NAMES, (redactor.known_names, redactor.name)),
            **dict.fromkeys(IDS, (redactor.known_ids, redactor.identifier)),
        }
        for column in EVENT_COLUMNS:
            if column.type not in _TEXTUAL or column.name == "event_id":
                self._plain.pop(column.name, None)
        # By map column and pair: most attributes repeat from record to record.
        self._pairs: dict[str, dict[tuple[str, str], tuple[str, str]]] = {name: {} for name in MAPS}
        # By identity: the records of one resource share its maps. A list is kept so that its id stays its own.
        self._shared: dict[int, tuple[Pairs, Pairs]] = {}

    def apply(self, event: AuditEvent) -> AuditEvent:
        """A masked copy."""
        content, markers = self._content(event.content)
        columns: dict[str, Any] = dict(event.columns)
        plain = self._plain
        for name, value in event.columns.items():
            if not value:
                continue
            rule = plain.get(name)
            if rule is None:
                if name not in _LEFT:
                    columns[name] = self._other(name, value, markers)
                continue
            known = rule[0].get(value)  # type: ignore[call-overload]  # these columns hold strings
            if known is None:
                columns[name] = self._string(value, markers, rule[1])  # type: ignore[arg-type]  # as above
            elif known:
                columns[name] = known
        return AuditEvent(columns, content)  # type: ignore[arg-type]  # the columns of `event`, under the same names

    def _other(self, name: str, value: Any, markers: Mapping[str, str]) -> Any:
        redactor = self._redactor
        if name in MAPS:
            if name.startswith(("resource", "scope")):
                return self._shared_map(name, value, markers)
            return self._map(name, value, markers)
        if name in JSON_COLUMNS:
            return redactor.typed("", value, markers)
        if name == "event_id":  # the receiver's own, except where a record brought one
            return value if not value.startswith(_GIVEN_ID) else redactor.identifier(value)
        if name in HEX_IDS:
            return value if len(value) == HEX_IDS[name] else self._string(value, markers, redactor.name)
        mask = redactor.name if name in NAMES else redactor.identifier
        return [self._string(text, markers, mask) for text in value]

    def _content(self, content: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Texts under their masked names, and the new name of each old one."""
        masked: dict[str, str] = {}
        markers: dict[str, str] = {}
        redactor = self._redactor
        for name, text in content.items():
            base = new = redactor.name(name)
            number = 1
            while new in masked:
                number += 1
                new = f"{base}#{number}"
            markers[name] = new
            masked[new] = self._text(name, text)
        return masked, markers

    def _text(self, name: str, text: str) -> str:
        if is_reference_hash(name):
            return text
        redactor = self._redactor
        plain = _REPEAT.sub("", name)
        if plain in _UNREADABLE:
            return text if redactor.mode_of(plain) is Mode.FULL else redactor.digest_of(text)
        alias = _ALIASES.get(plain)
        if alias is not None:
            mode = stricter(redactor.mode_of(plain), redactor.mode_of(alias))
            return redactor.text(text, alias if redactor.mode_of(alias) is mode else plain)
        return redactor.text(text, _PLACE.sub("", plain, count=1))

    @staticmethod
    def _string(text: str, markers: Mapping[str, str], mask: Callable[[str], str]) -> str:
        if text.startswith(_MARKER) and text[len(_MARKER) :] in markers:
            return _MARKER + markers[text[len(_MARKER) :]]
        return mask(text)

    def _map(self, name: str, pairs: Pairs, markers: Mapping[str, str]) -> Pairs:
        known = self._pairs[name]
        result = [known.get(pair) or self._pair(name, pair, markers) for pair in pairs]
        if result != pairs and len({key for key, _ in result}) != len(result):
            result = list(_distinct(result))
        return result

    def _pair(self, name: str, pair: tuple[str, str], markers: Mapping[str, str]) -> tuple[str, str]:
        key, text = pair
        redactor = self._redactor
        new_key = self._string(key, markers, redactor.name)
        if name == "otlp" and _OWN_NUMBERS.fullmatch(key):
            masked = text
        elif text.startswith(_MARKER) and text[len(_MARKER) :] in markers:
            masked = _MARKER + markers[text[len(_MARKER) :]]
        elif name in _JSON_MAPS or (name == "otlp" and text[:1] in {"[", "{", '"'}):
            masked = redactor.typed(key, text, markers)
        elif name == "otlp":
            masked = redactor.name(text)
        else:
            masked = redactor.value(key, text)
        new = pair if masked == text and new_key == key else (new_key, masked)
        # Markers are remembered only where they stay: what a text is called in one event says nothing of the next.
        if len(key) + len(text) <= _SHORT and (new is pair or _MARKER not in text):
            known = self._pairs[name]
            if len(known) >= _REMEMBERED_PAIRS:
                known.clear()
            known[pair] = new
        return new

    def _shared_map(self, name: str, pairs: Pairs, markers: Mapping[str, str]) -> Pairs:
        known = self._shared.get(id(pairs))
        if known is not None and known[0] is pairs:
            return known[1]
        result = self._map(name, pairs, markers)
        if len(self._shared) >= _REMEMBERED_MAPS:
            self._shared.clear()
        self._shared[id(pairs)] = (pairs, result)
        return result


def _distinct(pairs: Pairs) -> Iterator[tuple[str, str]]:
    """Pairs whose keys differ: two spellings of one value have one token, and both entries stay."""
    seen: set[str] = set()
    for key, text in pairs:
        new, number = key, 1
        while new in seen:
            number += 1
            new = f"{key}#{number}"
        seen.add(new)
        yield new, text
