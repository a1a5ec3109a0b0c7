"""Write the golden files: what a reader is told about the AI calls of each folder of captures.

``python -m tests.regenerate_golden`` writes them, ``--check`` only reports a difference (a test does the same).
Read the diff: a golden file is right when it says what a person reading the capture's JSON would.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from otel_audit.model import AuditEvent
from tests.conformance.captures import FIXTURES, events, folders

FOLDERS = folders()
GOLDEN = FIXTURES / "golden"
_TOLD = ("ai_call", "tool_call", "evaluation", "review")
_LEFT_OUT = {
    "attributes",
    "attributes_json",
    "resource_attributes",
    "resource_attributes_json",
    "scope_attributes_json",
    "otlp",
    "span_events",
    "links",
    "event_id",
    "record_kind",
}
_JOINED = ("input", "output", "system_instructions", "tool_definitions", "context")


def _readable(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def joined_content(found: list[AuditEvent]) -> dict[tuple[str, str], dict[str, str]]:
    """Content that log records tell about a span, by (trace, span), as the store's reader joins it.

    Messages that came one a record become one list, in the order of their times.
    """
    content: dict[tuple[str, str], dict[str, str]] = {}
    for event in sorted(found, key=_order):
        columns = event.columns
        if columns["event_type"] == "log" and columns.get("convention") and columns.get("span_id"):
            place = content.setdefault((columns["trace_id"], columns["span_id"]), {})
            for name, text in event.content.items():
                if name in _JOINED:
                    place[name] = _joined(place[name], text) if name in place else text
    return content


def _joined(earlier: str, later: str) -> str:
    lists = [_readable(text) for text in (earlier, later)]
    if all(isinstance(messages, list) for messages in lists):
        return json.dumps(lists[0] + lists[1])
    return f"{earlier}\n{later}"


def _order(event: AuditEvent) -> tuple[int, str]:
    return event.columns["event_time"], event.columns["event_id"]


def golden(found: list[AuditEvent]) -> str:
    """The AI calls, tool calls and evaluations among events, as JSON text."""
    logs = joined_content(found)
    told = []
    for event in sorted(found, key=_order):
        columns: dict[str, Any] = dict(event.columns)
        if columns["event_type"] not in _TOLD:
            continue
        content = dict(event.content)
        if columns["event_type"] == "ai_call":
            place = (columns.get("trace_id", ""), columns.get("span_id", ""))
            content = {**logs.get(place, {}), **content}
        row = {name: value for name, value in columns.items() if name not in _LEFT_OUT and value not in ("", [])}
        if "configuration" in row:
            row["configuration"] = dict(row["configuration"])
        row["content"] = {name: _readable(text) for name, text in sorted(content.items())}
        told.append(row)
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the files, or with ``--check`` exit 1 when one is not what the code gives."""
    stale = []
    for folder in FOLDERS:
        path = GOLDEN / f"{folder}.json"
        text = golden(list(events(folder)))
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(path.name)
    if stale:
        print(f"stale golden files: {', '.join(stale)}; run `python -m tests.regenerate_golden` and read the diff")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
