"""The texts of entries, joined to their rows from ``audit_content``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from otel_audit.model import EventType
from otel_audit.store.sql_text import sql

_Query = Callable[[str, dict[str, Any]], list[dict[str, Any]]]
_Row = dict[str, Any]
_Key = tuple[str, int]

# What a GenAI log record may carry for the AI call of its span.
_GENAI_TEXTS: Final = frozenset({"input", "output", "system_instructions", "tool_definitions", "context"})
_SEQS_AT_ONCE: Final = 2048  # they travel in the request's URL, which servers limit
_TRACES_AT_ONCE: Final = 500


class Contents:
    """Fills ``row["content"]`` from ``audit_content``, counting only texts that the entry commits to."""

    def __init__(self, query: _Query) -> None:
        self._query = query

    def attach(self, rows: list[_Row]) -> list[_Row]:
        """Fill in the texts of ``rows`` and return them.

        A text whose commitment is not the entry's is an orphan of an insert that failed, and no part
        of the record. An AI call without input or output takes them from the GenAI log records of
        its span; ``content_from`` then says which entries commit to them: {name: "origin#seq ..."}.
        """
        texts = self._texts({(row["origin"], row["seq"]): row["content_commitments"] for row in rows})
        for row in rows:
            row["content"] = texts.get((row["origin"], row["seq"]), {})
        self._join_logs([row for row in rows if _lacks_texts(row)])
        return rows

    def _texts(self, commitments: dict[_Key, dict[str, str]]) -> dict[_Key, dict[str, str]]:
        """{name: text} of each entry that commits to any."""
        seqs_by_origin: dict[str, list[int]] = defaultdict(list)
        for (origin, seq), names in commitments.items():
            if names:
                seqs_by_origin[origin].append(seq)
        texts: dict[_Key, dict[str, str]] = defaultdict(dict)
        for origin, seqs in seqs_by_origin.items():
            for record in self._records(origin, sorted(seqs)):
                key, name = (origin, record["seq"]), record["name"]
                if commitments[key].get(name) == record["commitment"].hex():
                    texts[key][name] = record["value"]
        # In the order of the commitments, which is the order of the record.
        return {key: {name: found[name] for name in commitments[key] if name in found} for key, found in texts.items()}

    def _records(self, origin: str, seqs: Sequence[int]) -> Iterator[_Row]:
        """Records of audit_content at ascending ``seqs``."""
        if 2 * len(seqs) > seqs[-1] - seqs[0]:
            wanted = frozenset(seqs)
            extent = {"origin": origin, "first": seqs[0], "last": seqs[-1]}
            yield from (row for row in self._query(sql("reader_content_range"), extent) if row["seq"] in wanted)
            return
        for piece in _pieces(seqs, _SEQS_AT_ONCE):
            extent = {"origin": origin, "first": piece[0], "last": piece[-1]}
            yield from self._query(sql("reader_content_picked"), {**extent, "seqs": list(piece)})

    def _join_logs(self, calls: list[_Row]) -> None:
        """Give AI calls the texts that came in GenAI log records of their span."""
        by_span = {(row["trace_id"], row["span_id"]): row for row in calls}
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
                        name: value.hex() for name, value in log["content"].items() if name in _GENAI_TEXTS
                    }
                    for log in logs
                }
            )
            for log in logs:
                key = (log["origin"], log["seq"])
                _give(by_span[log["trace_id"], log["span_id"]], key, texts.get(key, {}))


def _lacks_texts(row: _Row) -> bool:
    return (
        row["event_type"] == EventType.AI_CALL
        and row["span_id"] != ""
        and not {"input", "output"} <= row["content_commitments"].keys()
    )


def _give(call: _Row, source: _Key, texts: dict[str, str]) -> None:
    sources, content = call["content_from"], call["content"]
    for name, text in texts.items():
        if name in call["content_commitments"]:
            continue  # the call has its own, even when it was erased
        place = f"{source[0]}#{source[1]}"
        if name in sources:
            sources[name], content[name] = f"{sources[name]} {place}", _joined(content[name], text)
        else:
            sources[name], content[name] = place, text


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
