"""An entry in a plain sentence, and a task in one. Pure: rows in, words out.

A row is what ``store.reader`` gives; a column that it lacks counts as empty, and an event type or a
decision of the customer's own keeps its own word.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from otel_audit.model import EventType
from otel_audit.reports import reviews
from otel_audit.reports.linked_calls import repeats
from otel_audit.semconv import AUDIT_ACTION, AUDIT_LOSS_COUNT, AUDIT_LOSS_REASON, AUDIT_TARGET_ID, AUDIT_TARGET_TYPE

Row = Mapping[str, Any]

TECHNICAL_TYPES: Final = (EventType.SPAN, EventType.LOG)
_NANO: Final = 1_000_000_000

_DECISIONS: Final = {
    "approved": "approved the AI draft",
    "rejected": "rejected the AI draft",
    "modified": "changed the AI draft",
    "escalated": "passed the review on",
    "abandoned": "left the review without a decision",
}
_OPERATIONS: Final = {"embeddings": "made embeddings", "rerank": "ranked documents"}
ACCESS_VERBS: Final = {
    "VIEW": "opened",
    "SEARCH": "searched",
    "EXPORT": "exported",
    "VERIFY": "verified",
    "SHARE": "shared the view",
    "UNSHARE": "stopped sharing the view",
    "SIGN_IN": "signed in to",
    "SIGN_OUT": "signed out of",
    "OPEN": "was refused",
    "SET_PRICE": "set the price of",
    "REMOVE_PRICE": "removed the price of",
}

_TARGETS: Final = {
    "trace": "trace {}",
    "reviewer": "figures about {}",
    "log_review": "the log review of {}",
    "page": "the page {}",
    "view": "the view {}",
}


def target_words(target: str, target_type: str) -> str:
    """What an access was to, in words. What has no words of its own is named as it is.

    >>> target_words("2026-W47", "log_review"), target_words("loan-1", "task")
    ('the log review of 2026-W47', 'loan-1')
    """
    return _TARGETS.get(target_type, "{}").replace("{}", target) if target else ""


def duration_words(seconds: float | None) -> str:
    """A length of time as people say it, to two units. Empty when it is not known.

    >>> duration_words(0.12), duration_words(6.6), duration_words(3725), duration_words(200_000)
    ('120 ms', '7 s', '1 h 2 min', '2 d 7 h')
    """
    if seconds is None or not isfinite(seconds):
        return ""
    if seconds < 0:
        return f"-{duration_words(-seconds)}"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 2.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    for unit, size, smaller, smaller_size in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def shown_time(row: Row) -> int:
    """When an entry happened in a story: a review when it was decided, everything else when it began."""
    time: int = row["end_time"] if row.get("event_type") == EventType.REVIEW else row["event_time"]
    return time


def headline(row: Row) -> str:
    """Who did what, such as ``u_102 approved the AI draft``.

    >>> headline({"event_type": "escalation", "from_reviewer": "u_1", "to_reviewer": "u_7", "escalation_level": 2})
    'u_1 escalated to u_7 (level 2)'
    """
    teller = _HEADLINES.get(row.get("event_type", ""))
    if teller is not None:
        return teller(row)
    who = _person(row) if row.get("reviewer_id") or row.get("actor_id") else row.get("service") or "something"
    return f"{who}: {_words(row.get('event_type', '')) or 'an event without a type'}"


def _ai_call(row: Row) -> str:
    model = row.get("response_model") or row.get("request_model") or "an AI model"
    operation = row.get("operation", "")
    facts = _brackets(operation, _took(row))
    if failure := _failure(row):
        return f"{model} failed{facts}: {failure}"
    return f"{model} {_OPERATIONS.get(operation, 'answered')}{facts}"


def _tool_call(row: Row) -> str:
    facts = _brackets(f"asked for by {row['agent_name']}" if row.get("agent_name") else "", _took(row))
    tool = row.get("tool_name") or row.get("name") or "a tool"
    failure = _failure(row)
    return f"tool {tool} failed{facts}: {failure}" if failure else f"tool {tool} ran{facts}"


def _review(row: Row) -> str:
    return f"{_decided(row)}{_brackets(*reviews.notes(row))}"


def _decided(row: Row) -> str:
    decision = row.get("decision", "")
    said = _DECISIONS.get(decision) or (f"decided “{decision}”" if decision else "reviewed the AI draft")
    against = (
        ", against the AI's proposal" if row.get("is_override") and decision not in ("rejected", "modified") else ""
    )
    return f"{_person(row)} {said}{against}{_brackets(reviews.abandon_reason(row))}"


def _escalation(row: Row) -> str:
    who = row.get("from_reviewer") or _person(row)
    level = row.get("escalation_level") or 0
    to = f" to {row['to_reviewer']}" if row.get("to_reviewer") else ""
    return f"{who} escalated{to}{_brackets(f'level {level}' if level else '')}"


def _resolution(row: Row) -> str:
    outcome = _words(row.get("resolution") or row.get("decision") or "")
    return f"{_person(row)} resolved the task{f': {outcome}' if outcome else ''}"


def _resolved(row: Row) -> str:
    return headline(row).replace(" resolved the task: ", " resolved it as ")


def _evaluation(row: Row) -> str:
    score = row.get("score")
    result = " ".join(
        part
        for part in (
            f"{score:g}" if score is not None else "",
            f"({row['score_label']})" if row.get("score_label") else "",
        )
        if part
    )
    return f"evaluation {row.get('evaluation_name') or 'without a name'}{f': {result}' if result else ''}"


def _task_created(row: Row) -> str:
    kind = row.get("task_kind", "")
    if reviews.is_reopening(row):
        return f"{_person(row)} opened the task again"
    return f"task {row.get('task_id') or 'without an id'} was created{_brackets(_words(kind))}"


def _access(row: Row) -> str:
    attributes = row.get("attributes") or {}
    action = attributes.get(AUDIT_ACTION, "")
    target = target_words(attributes.get(AUDIT_TARGET_ID, ""), attributes.get(AUDIT_TARGET_TYPE, ""))
    did = ACCESS_VERBS.get(action.upper()) or _words(action).lower() or "opened"
    return f"{row.get('actor_id') or 'somebody'} {did} {target or row.get('task_id') or 'the record'}"


def _loss(row: Row) -> str:
    texts = (row.get("attributes") or {}) | (row.get("attributes_json") or {})
    count, reason = texts.get(AUDIT_LOSS_COUNT, ""), _words(texts.get(AUDIT_LOSS_REASON, ""))
    return f"{count or 'some'} records were lost{f': {reason}' if reason else ''}"


def _span(row: Row) -> str:
    failure = _failure(row)
    told = f"{row.get('service') or 'a service'}: {row.get('name') or 'a span'}{_brackets(_took(row))}"
    return f"{told} failed: {failure}" if failure else told


def _log(row: Row) -> str:
    return f"{row.get('service') or 'a service'} logged {row.get('name') or 'a record'}"


def _by(what: str) -> Callable[[Row], str]:
    return lambda row: f"{row.get('actor_id') or row.get('reviewer_id') or 'the system'} {what}"


_HEADLINES: Final[dict[str, Callable[[Row], str]]] = {
    EventType.TASK_CREATED: _task_created,
    EventType.AI_CALL: _ai_call,
    EventType.TOOL_CALL: _tool_call,
    EventType.REVIEW: _review,
    EventType.ESCALATION: _escalation,
    EventType.RESOLUTION: _resolution,
    EventType.EVALUATION: _evaluation,
    EventType.ACCESS: _access,
    EventType.LOG_REVIEW: _by("signed off a review of the record"),
    EventType.ERASURE: _by("erased texts"),
    EventType.RETENTION: _by("applied retention"),
    EventType.KEY_ROTATION: _by("changed the signing key"),
    EventType.LEDGER_OPENED: lambda _: "the ledger was opened",
    EventType.LEDGER_CLOSED: lambda _: "the ledger was closed",
    EventType.LOSS: _loss,
    EventType.SPAN: _span,
    EventType.LOG: _log,
}


def facts(row: Row) -> list[str]:
    """Short facts beside the headline: reasons, times on it, confidence, tokens, request id."""
    told = [
        ("because", ", ".join(row.get("rationale_code") or ())),
        ("active", duration_words(row.get("active_seconds"))),
        ("idle", duration_words(row.get("idle_seconds"))),
        ("waited", duration_words(row.get("queue_wait_seconds"))),
        ("confidence", f"{row['confidence']:g}" if row.get("confidence") is not None else ""),
        ("prompt", " ".join(part for part in (row.get("prompt_name"), row.get("prompt_version")) if part)),
        ("tokens", _tokens(row)),
        ("service", row.get("service", "") if row.get("event_type") not in TECHNICAL_TYPES else ""),
        ("request", row.get("request_id", "")),
    ]
    return [f"{name} {value}" for name, value in told if value]


def verdict(rows: Sequence[Row]) -> str:
    """The story of a task in one sentence. ``rows`` are its entries in the order of the story."""
    if not rows:
        return "Nothing is recorded for this task."
    steps = [step for step in (_ai_step(rows), *_human_steps(rows)) if step]
    current = reviews.since_reopened(rows)
    resolutions = [row for row in current if row.get("event_type") == EventType.RESOLUTION]
    if resolutions:
        steps.append(_resolved(resolutions[-1]))
    elif current is not rows:
        steps.append("no resolution is recorded since")
    elif any(row.get("event_type") in (EventType.REVIEW, EventType.ESCALATION) for row in rows):
        steps.append("no resolution is recorded")
    else:
        steps.append("no review is recorded")
    seconds = (max(_end(row) for row in rows) - min(row["event_time"] for row in rows)) / _NANO
    took = f" {duration_words(seconds)} from first to last event." if seconds >= 0.0005 else ""
    sentence = ", ".join(steps[:-1]) + (", and " if len(steps) > 1 else "") + steps[-1]
    return f"{sentence[:1].upper() + sentence[1:] if sentence.startswith('no ') else sentence}.{took}"


def _ai_step(rows: Sequence[Row]) -> str:
    repeated = repeats(rows)
    calls = [
        row
        for row in rows
        if row.get("event_type") == EventType.AI_CALL and (row.get("origin"), row.get("seq")) not in repeated
    ]
    if not calls:
        return ""
    models = list(
        dict.fromkeys(row.get("response_model") or row.get("request_model") or "an AI model" for row in calls)
    )
    failed = sum(1 for row in calls if _failure(row))
    times = "" if len(calls) == 1 else f" {len(calls)} times"
    note = f" ({failed} of {len(calls)} calls failed)" if failed else ""
    return f"{_listed(models)} answered{times}{note}" if failed < len(calls) else f"{_listed(models)} failed{times}"


def _human_steps(rows: Sequence[Row]) -> Iterable[str]:
    final = reviews.since_reopened(rows)
    for place, row in enumerate(rows):
        if row.get("event_type") == EventType.REVIEW:
            active = duration_words(row.get("active_seconds"))
            standing = reviews.standing(row, rows[:place])
            yield _decided(row) + (f" {standing}" if standing else "") + (f" after {active}" if active else "")
        elif row.get("event_type") == EventType.ESCALATION or reviews.is_reopening(row):
            yield headline(row)
        elif row.get("event_type") == EventType.RESOLUTION and place < len(rows) - len(final):  # before it was reopened
            yield _resolved(row)


def plain_text(content: str) -> str:
    """The words of a stored text: messages become "role: text" lines, any other text stays as it is.

    >>> plain_text('[{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]')
    'user: Hi'
    """
    return "\n".join(f"{role}: {text}" if role else text for role, text in messages(content))


def messages(content: str) -> list[tuple[str, str]]:
    """(role, text) of each message of a text in the OTel GenAI or the chat-completions form.

    Instructions without a role have the role "". Text that is neither form is one message without a role.
    """
    if content[:1] not in ("[", "{"):
        return [("", content)] if content else []
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return [("", content)]
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) and item.keys() & {"role", "parts", "content", "type"} for item in items):
        return [("", content)]
    if not any(item.keys() & {"role", "parts"} for item in items):
        return [("", _parts(items))]
    return [(str(item.get("role", "")), _message_text(item)) for item in items]


def _message_text(message: dict[str, Any]) -> str:
    parts = message.get("parts", message.get("content"))
    calls = message.get("tool_calls")
    pieces = [_parts(parts if isinstance(parts, list) else [parts])]
    pieces += [
        _part({"type": "tool_call", **(call.get("function") or {})}) for call in calls or () if isinstance(call, dict)
    ]
    return "\n".join(piece for piece in pieces if piece)


def _parts(parts: Iterable[Any]) -> str:
    return "\n".join(text for text in map(_part, parts) if text)


def _part(part: Any) -> str:
    if part is None:
        return ""
    if not isinstance(part, dict):
        return part if isinstance(part, str) else _json(part)
    match part.get("type"):
        case "tool_call":
            return f"[calls {part.get('name') or 'a tool'}({_json(part.get('arguments', ''))})]"
        case "tool_call_response":
            return f"[tool answered: {_json(part.get('response', part.get('result', '')))}]"
        case "blob" | "uri" | "file":
            where = part.get("uri") or part.get("mime_type") or part.get("file_id") or ""
            return f"[{part.get('modality') or 'file'}: {where}]"
    text = part.get("content", part.get("text"))
    return text if isinstance(text, str) else _json(part)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _person(row: Row) -> str:
    return row.get("reviewer_id") or row.get("actor_id") or "somebody"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _took(row: Row) -> str:
    milliseconds = row.get("duration_ms")
    return "" if milliseconds is None else duration_words(milliseconds / 1000)


def _end(row: Row) -> int:
    begun: int = row["event_time"]
    ended: int = row.get("end_time", begun)
    return max(begun, ended)


def _failure(row: Row) -> str:
    return row.get("error_type") or ("an error" if row.get("status") == "error" else "")


def _brackets(*parts: str) -> str:
    told = ", ".join(part for part in parts if part)
    return f" ({told})" if told else ""


def _tokens(row: Row) -> str:
    tokens = (row.get("input_tokens"), row.get("output_tokens"))
    return "" if tokens == (None, None) else " in, ".join("?" if n is None else f"{n:,}" for n in tokens) + " out"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
