"""Accesses to the trail in words: what was done, to what, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from formats import moment, sentence_case
from presenters import table_time
from words import Row, accessed, who

from otel_audit.reports.narrate import target_words
from otel_audit.semconv import AUDIT_FILTER, AUDIT_OUTCOME, AUDIT_PURPOSE, AUDIT_ROW_COUNT

ACTIONS: Final[Mapping[str, str]] = {
    "Opened": "VIEW",
    "Searched": "SEARCH",
    "Exported": "EXPORT",
    "Verified": "VERIFY",
    "Signed in": "SIGN_IN",
    "Signed out": "SIGN_OUT",
    "Was refused": "OPEN",  # a page or a download that their role does not have
}
_WORDS: Final = {action: label for label, action in ACTIONS.items()} | {
    "SHARE": "Shared a view",
    "UNSHARE": "Stopped sharing a view",
    "SET_PRICE": "Set a price",
    "REMOVE_PRICE": "Removed a price",
}


def did(row: Row) -> str:
    """What was done, in a word."""
    action, _, _ = accessed(row)
    if action == "SIGN_IN" and (row.get("outcome") or row.get("attributes", {}).get(AUDIT_OUTCOME)) == "failure":
        return "Failed to sign in"
    return action_word(action) or "Looked"


def action_word(action: str) -> str:
    """An action on the trail in a word: "VIEW" reads "Opened"; others stay."""
    return _WORDS.get(action) or sentence_case(action)


def to_what(row: Row) -> str:
    """What it was done to: the task, else the target that the access names."""
    _, target, kind = accessed(row)
    return str(row["task_id"]) or target_words(target, kind) or kind or "the record"


def table(rows: Sequence[Row], zone: str, this_year: int) -> list[dict[str, Any]]:
    """One dict for each line of the table."""
    return [
        {
            "time": table_time(row["event_time"], zone, this_year),
            "who": who(row),
            "did": did(row),
            "what": to_what(row),
            "service": row["service"],
        }
        for row in rows
    ]


def facts(entry: Row, zone: str) -> list[tuple[str, str]]:
    """(name, value) of what one access says; ``entry`` is a whole row with its texts."""
    texts: Mapping[str, str] = entry.get("content") or {}
    said = {**entry["attributes"], **texts}
    rows = entry["attributes_json"].get(AUDIT_ROW_COUNT, "")
    return [
        (name, value)
        for name, value in (
            ("Who", who(entry)),
            ("When", moment(entry["event_time"], zone)),
            ("Did", did(entry)),
            ("To what", to_what(entry)),
            ("Asked for", said.get(AUDIT_FILTER, "")),
            ("Rows", f"{int(rows):,}" if rows.isascii() and rows.isdigit() else ""),
            ("Reason given", said.get(AUDIT_PURPOSE, "")),
            ("Outcome", sentence_case(said.get(AUDIT_OUTCOME, ""))),
            ("Entry", f"{entry['seq']:,} of {entry['origin']}"),
        )
        if value
    ]
