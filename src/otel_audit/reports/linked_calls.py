"""AI calls that several records tell: which of a set of rows count, and who else reported them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otel_audit.model import EventType, RecordKind

Key = tuple[str, int]  # origin, seq


def reported_again(rows: Iterable[Mapping[str, Any]]) -> dict[Key, list[Mapping[str, Any]]]:
    """The rows that tell an AI call again, by (origin, seq) of the row that counts for it.

    A row whose counting row is not among ``rows`` is left out: there it is the only one that tells the call.
    """
    calls = [row for row in rows if row.get("event_type") == EventType.AI_CALL]
    counting = {row.get("span_id"): row for row in calls if row.get("span_id") and not row.get("duplicate_of")}
    found: dict[Key, list[Mapping[str, Any]]] = {}
    for row in calls:
        first = counting.get(row.get("duplicate_of"))
        if first is not None:
            found.setdefault((first["origin"], first["seq"]), []).append(row)
    return found


def repeats(rows: Iterable[Mapping[str, Any]]) -> set[Key]:
    """(origin, seq) of the rows that only tell again what another of ``rows`` tells."""
    return {(row["origin"], row["seq"]) for again in reported_again(rows).values() for row in again}


def also_reported(again: Iterable[Mapping[str, Any]]) -> str:
    """Who else reported a call, in words: ``also reported by openinference.instrumentation.openai``.

    >>> also_reported([{"scope_name": "litellm", "record_kind": "span"}])
    'also reported by litellm'
    """
    names = dict.fromkeys(
        (row.get("scope_name") or row.get("service") or "another instrumentation")
        + (" (log)" if row.get("record_kind") == RecordKind.LOG else "")
        for row in again
    )
    return f"also reported by {', '.join(names)}" if names else ""
