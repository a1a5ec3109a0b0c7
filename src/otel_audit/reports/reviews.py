"""What a review's attributes tell beyond its columns, and how the reviews of a task stand to each other. Pure.

A row is what ``store.reader`` gives; rows of a table come without attributes, and then nothing is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from otel_audit.model import EventType
from otel_audit.semconv import (
    AUDIT_RATIONALE_UNKNOWN_CODE,
    AUDIT_REVIEW_ABANDON_REASON,
    AUDIT_REVIEW_ID,
    AUDIT_REVIEW_KIND,
    AUDIT_REVIEW_LATE,
    AUDIT_REVIEW_OF,
    AUDIT_REVIEW_OPENED_BY,
    AUDIT_REVIEW_REMARKS,
    AUDIT_REVIEW_REPEAT,
    AUDIT_TASK_REOPENED,
)

Row = Mapping[str, Any]

ABANDONED: Final = "abandoned"
QUICK_FLOOR: Final = 10  # seconds: opening, finding the place and pressing a button alone take about as long
# K. Rayner et al., Psychol. Sci. Public Interest 17 (2016) 4: adults read 200 to 400 words a minute, and skim above.
WORDS_PER_MINUTE: Final = 400
_SECOND_OPINION: Final = "second_opinion"
_REOPENED: Final = "task.reopened"  # the name of the API's span, which a table's rows have too
_NO_TICKET: Final = "ticket_unreadable"
_REASONS: Final = {
    "timeout": "timed out",
    "closed": "page closed",
    "released": "given back",
    "undecided": "",  # that it was left is all there is to say
    "error": "the application failed",
    "cancelled": "cancelled",
}


def told(row: Row, key: str) -> Any:
    """The value of an attribute, None where the row has none or what it has can not be read."""
    plain = (row.get("attributes") or {}).get(key)
    if plain is not None:
        return plain
    text = (row.get("attributes_json") or {}).get(key)
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def listed(row: Row, key: str) -> list[str]:
    """The values of an attribute that is a list; the marker of one that was moved to content is the only one."""
    found = told(row, key)
    return [str(value) for value in (found if isinstance(found, list) else [found] if found else [])]


def is_reopening(row: Row) -> bool:
    """Whether the event opens a task again."""
    if row.get("event_type") != EventType.TASK_CREATED:
        return False
    return told(row, AUDIT_TASK_REOPENED) is True or row.get("name") == _REOPENED


def is_second_opinion(row: Row) -> bool:
    """Whether a review looks at another review again."""
    return bool(told(row, AUDIT_REVIEW_KIND) == _SECOND_OPINION)


def abandon_reason(row: Row) -> str:
    """Why a review ended without a decision, in words; a reason of the customer's own keeps its word."""
    reason = told(row, AUDIT_REVIEW_ABANDON_REASON)
    return _REASONS.get(reason, reason.replace("_", " ")) if isinstance(reason, str) else ""


def notes(row: Row) -> list[str]:
    """What sets a review apart: a second opinion, decided again, too late, by somebody else, odd times or codes."""
    found = ["second opinion"] if is_second_opinion(row) else []
    repeat = told(row, AUDIT_REVIEW_REPEAT)
    if isinstance(repeat, int):
        found.append(f"decision {repeat} of the same review")
    if told(row, AUDIT_REVIEW_LATE) is True:
        found.append("decided after its time was over")
    if opened_by := told(row, AUDIT_REVIEW_OPENED_BY):
        found.append(f"opened by {opened_by}")
    remarks = listed(row, AUDIT_REVIEW_REMARKS)
    if _NO_TICKET in remarks:
        found.append("its ticket could not be read")
    if any(remark != _NO_TICKET for remark in remarks):
        found.append("reported times were mended")
    if unknown := listed(row, AUDIT_RATIONALE_UNKNOWN_CODE):
        found.append(f"not in the list of codes: {', '.join(unknown)}")
    return found


def standing(row: Row, earlier: Iterable[Row]) -> str:
    """How a review stands to the task's ``earlier`` ones: agreeing or not with the one it is about, or the same again.

    >>> first = {"event_type": "review", "reviewer_id": "u_1", "decision": "approved",
    ...          "attributes": {"audit.review.id": "r1"}}
    >>> second = {"event_type": "review", "reviewer_id": "u_2", "decision": "rejected",
    ...           "attributes": {"audit.review.kind": "second_opinion", "audit.review.of": "r1"}}
    >>> standing(second, [first])
    'as a second opinion that disagrees with u_1'
    """
    identity, about = told(row, AUDIT_REVIEW_ID), told(row, AUDIT_REVIEW_OF)
    before = {told(other, AUDIT_REVIEW_ID): other for other in earlier if other.get("event_type") == EventType.REVIEW}
    if identity and identity in before:
        return "deciding the same review again"
    if not is_second_opinion(row):
        return ""
    first = before.get(about)
    if not about or first is None or ABANDONED in (first.get("decision"), row.get("decision")):
        return "as a second opinion"
    agrees = "agrees" if first.get("decision") == row.get("decision") else "disagrees"
    return f"as a second opinion that {agrees} with {first.get('reviewer_id') or 'the first'}"


def since_reopened(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows, in the order of the story, from the last re-opening on; all of them when there was none."""
    for place in reversed(range(len(rows))):
        if is_reopening(rows[place]):
            return rows[place:]
    return rows
