"""The texts of entries, joined to their rows from ``audit_content``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from otel_audit.model import EventType
from otel_audit.store.sql_text import sql

_Query = Callable[[str, dict[str, Any]], list[dict[str, Any]]]
_Key = tuple[str, int]

# What a GenAI log record may carry for the AI call of its span.
_GENAI_TEXTS: Final = frozenset({"input", "output", "system_instructions", "tool_definitions", "context"})
# These put some texts in the log record alone though the span has input and output: OpenLIT the tools.
_SPLIT: Final = frozenset({"openlit"})
_SEQS_AT_ONCE: Final = 2048  # they travel in the request's URL, which servers limit
_TRACES_AT_ONCE: Final = 500


class EntryKey(NamedTuple):
    """What is needed of an entry to find its texts. ``commitments`` is its column ``content``."""

    origin: str
    seq: int
    event_type: str
    trace_id: str
    span_id: str
    commitments: dict[str, bytes]
    convention: str = ""


@dataclass(slots=True)
class Texts:
    """The texts of one entry by name, and which entries commit to those that it does not commit to itself."""

    content: dict[str, str] = field(default_factory=dict)
    joined_from: dict[str, str] = field(default_factory=dict)


class Contents:
    """Finds texts in ``audit_content``, counting only those that an entry commits to."""

    def __init__(self, query: _Query) -> None:
        self._query = query

    def of(self, entries: Iterable[EntryKey]) -> dict[_Key, Texts]:
        """Return the texts of those ``entries`` that have any, by (origin, seq).

        A text whose commitment is not the entry's is an orphan of an insert that failed, and no part
        of the record. An AI call without input or output takes them from the GenAI log records of
        its span; ``joined_from`` then says which entries commit to them: {name: "origin#seq ..."}.
        """
        entries = list(entries)
        own = self._texts({(entry.origin, entry.seq): entry.commitments for entry in entries})
        found = {key: Texts(content) for key, content in own.items()}
        self._join_logs([entry for entry in entries if _lacks_texts(entry)], found)
        return found

    def _texts(self, commitments: dict[_Key, dict[str, bytes]]) -> dict[_Key, dict[str, str]]:
        """{name: text} of each entry that commits to any."""
        seqs_by_origin: dict[str, list[int]] = defaultdict(list)
        for (origin, seq), names in commitments.items():
            if names:
                seqs_by_origin[origin].append(seq)
        texts: dict[_Key, dict[str, str]] = defaultdict(dict)
        for origin, seqs in seqs_by_origin.items():
            for record in self._records(origin, sorted(seqs)):
                key, name = (origin, record["seq"]), record["name"]
                if commitments[key].get(name) == record["commitment"]:
                    texts[key][name] = record["value"]
        # In the order of the commitments, which is the order of the record.
        return {key: {name: found[name] for name in commitments[key] if name in found} for key, found in texts.items()}

    def _records(self, origin: str, seqs: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Records of audit_content at ascending ``seqs``."""
        if 2 * len(seqs) > seqs[-1] - seqs[0]:
            wanted = frozenset(seqs)
            extent = {"origin": origin, "first": seqs[0], "last": seqs[-1]}
            yield from (row for row in self._query(sql("reader_content_range"), extent) if row["seq"] in wanted)
            return
        for piece in _pieces(seqs, _SEQS_AT_ONCE):
            extent = {"origin": origin, "first": piece[0], "last": piece[-1]}
            yield from self._query(sql("reader_content_picked"), {**extent, "seqs": list(piece)})

    def _join_logs(self, calls: list[EntryKey], found: dict[_Key, Texts]) -> None:
        """Give AI calls the texts that came in GenAI log records of their span."""
        by_span = {(call.trace_id, call.span_id): call for call in calls}
        traces = sorted({trace for trace, _ in by_span})
        for piece in _pieces(traces, _TRACES_AT_ONCE):
            logs = [
                log
                for log in self._query(sql("reader_genai_logs"), {"trace_ids": list(piece)})
                if (log["trace_id"], log["span_id"]) in by_span
            ]
            texts = self._texts(
                {
                    (log["origin"], log["seq"]): {
                        name: commitment for name, commitment in log["content"].items() if name in _GENAI_TEXTS
                    }
                    for log in logs
                }
            )
            for log in logs:
                source = (log["origin"], log["seq"])
                call = by_span[log["trace_id"], log["span_id"]]
                _give(call, found.setdefault((call.origin, call.seq), Texts()), source, texts.get(source, {}))


def _lacks_texts(entry: EntryKey) -> bool:
    return (
        entry.event_type == EventType.AI_CALL
        and entry.span_id != ""
        and (entry.convention in _SPLIT or not {"input", "output"} <= entry.commitments.keys())
    )


def _give(call: EntryKey, to: Texts, source: _Key, texts: dict[str, str]) -> None:
    place = f"{source[0]}#{source[1]}"
    for name, text in texts.items():
        if name in call.commitments:
            continue  # the call has its own, even when it was erased
        if name in to.joined_from:
            to.joined_from[name] += f" {place}"
            to.content[name] = _joined(to.content[name], text)
        else:
            to.joined_from[name], to.content[name] = place, text


def _joined(earlier: str, later: str) -> str:
    """Two texts of one name: messages that were sent one a record become one list."""
    try:
        lists = [json.loads(text) for text in (earlier, later)]
    except ValueError:
        lists = []
    if lists and all(isinstance(messages, list) for messages in lists):
        return json.dumps(lists[0] + lists[1], ensure_ascii=False)
    return f"{earlier}\n{later}"


def _pieces(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
