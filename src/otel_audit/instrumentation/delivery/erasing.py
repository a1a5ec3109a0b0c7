"""Erasure in an application's spool: texts go from records that were not delivered, or not removed yet.

A record is of the subject or task that its attributes name; of a subject also through its tasks and spans, as far as
this spool tells. Its texts become ``[erased]``, its ids, times and counts stay: the event itself is still delivered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from otel_audit.conventions.content import JSON, STRING, entry_of
from otel_audit.errors import ConfigError, SpoolDamaged
from otel_audit.instrumentation.delivery.encoding import SPAN, dump, parse
from otel_audit.instrumentation.delivery.segment import SUFFIX, Item, Segment
from otel_audit.instrumentation.delivery.spool import REJECTED_SUFFIX
from otel_audit.semconv import AUDIT_SUBJECT_REF, AUDIT_TASK_ID

ERASED: Final = "[erased]"
_READABLE: Final = (SUFFIX, REJECTED_SUFFIX)


@dataclass(frozen=True, slots=True)
class SpoolErasure:
    """How many records lost their texts, and which files could not be looked at, with the reason."""

    records: int
    not_done: Mapping[str, str]


@dataclass(slots=True)
class _Wanted:
    """Whose records: by attribute, and what was found to belong to them."""

    subject: str
    tasks: set[str]
    spans: set[tuple[int, int]] = field(default_factory=set)

    def has(self, item: Item, body: Mapping[str, Any]) -> bool:
        attributes = body["attributes"]
        subject, task = attributes.get(AUDIT_SUBJECT_REF, ""), attributes.get(AUDIT_TASK_ID, "")
        if subject and self.subject:
            return bool(subject == self.subject)
        return task in self.tasks if task else _span(item, body) in self.spans

    def learn(self, item: Item, body: Mapping[str, Any]) -> None:
        attributes = body["attributes"]
        if self.subject and attributes.get(AUDIT_SUBJECT_REF) == self.subject and attributes.get(AUDIT_TASK_ID):
            self.tasks.add(attributes[AUDIT_TASK_ID])
        if self.has(item, body) and _span(item, body)[1]:
            self.spans.add(_span(item, body))


def erase_from_spool(folder: Path, *, subject: str = "", task: str = "") -> SpoolErasure:
    """Erase texts of a subject or a task in every file of a spool. Raises ConfigError when there is no such folder.

    A file that its application holds open can not be changed: it is named, as is one that can not be read.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is no folder. Give the spool of an application (OTEL_AUDIT_SPOOL_DIR).")
    not_done: dict[str, str] = {}
    segments: list[Segment] = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        if path.suffix not in _READABLE:
            not_done[str(path)] = "is no file of records that can be read"
            continue
        segment = Segment.adopt(path)
        if segment is None:
            not_done[str(path)] = "its application runs; stop it, or let it deliver and erase from the ledger"
        else:
            segments.append(segment)
    records = 0
    try:
        wanted = _Wanted(subject, {task} if task else set())
        sound = [segment for segment in segments if _learn(segment, wanted, not_done)]
        for segment in sound:  # a second time: a task's subject may be told after its first records
            _learn(segment, wanted, not_done)
        for segment in sound:
            records += segment.rewrite(lambda item: _without_texts(item, wanted))
    finally:
        for segment in segments:
            segment.close()
    return SpoolErasure(records, not_done)


def _learn(segment: Segment, wanted: _Wanted, not_done: dict[str, str]) -> bool:
    try:
        for item in segment.all_records():
            body = _body(item)
            wanted.learn(item, body)
    except (SpoolDamaged, ValueError, KeyError, TypeError) as exc:
        not_done[str(segment.path)] = f"can not be read: {exc}"
        return False
    return True


def _body(item: Item) -> Any:
    return parse(item.payload.decode().partition("\n")[2])


def _span(item: Item, body: Mapping[str, Any]) -> tuple[int, int]:
    return (body["trace"], body["span"]) if item.kind != SPAN else (body["context"][0], body["context"][1])


def _without_texts(item: Item, wanted: _Wanted) -> Item | None:
    """The record without its texts; None when it is none of those that are wanted."""
    body = _body(item)
    if not wanted.has(item, body):
        return None
    body["attributes"] = _cleaned(body["attributes"].items())
    if body.get("body") is not None:
        body["body"] = ERASED
    if body.get("status") and body["status"][1]:
        body["status"] = (body["status"][0], ERASED)
    if "events" in body:
        body["events"] = [
            (name, at, _cleaned((attributes or {}).items()), rest) for name, at, attributes, rest in body["events"]
        ]
    if "links" in body:
        body["links"] = [
            (context, _cleaned((attributes or {}).items()), rest) for context, attributes, rest in body["links"]
        ]
    header = item.payload.decode().partition("\n")[0]
    return Item(item.kind, f"{header}\n{dump(body)}".encode())


def _cleaned(attributes: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Attributes with ``[erased]`` for each that the receiver would keep as a text."""
    return {
        key: value if isinstance(value, bool | int | float) or entry_of(key, value)[3] in (STRING, JSON) else ERASED
        for key, value in attributes
    }
