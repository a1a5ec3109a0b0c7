"""Standards as data: their controls, what each asks, and which figures of the trail speak to it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from otel_audit.model import EventType, Filter

# The name on the command line and in a URL, and the file of each.
STANDARDS: Final = {"eu-ai-act": "eu_ai_act", "hipaa": "hipaa", "soc2": "soc2", "gdpr": "gdpr"}
FACTS: Final = ("integrity", "retention", "log_reviews", "oversight")


@dataclass(frozen=True, slots=True)
class Kind:
    """A figure that reports count: its words, and which events it is.

    ``is_of_the_trail``: the trail writes these events about itself, so no service or environment narrows them.
    """

    title: str
    where: Filter
    is_of_the_trail: bool = False


def _of(*types: EventType) -> Filter:
    return Filter(event_type=tuple(map(str, types)))


# ``sealed`` is narrowed to what the newest signed checkpoint of each ledger covers, when it is counted.
KINDS: Final = {
    "events": Kind("events recorded", Filter()),
    "sealed": Kind("events under a signed checkpoint", Filter()),
    "ai_calls": Kind("AI calls", Filter(figure="counted_calls")),
    "failed_calls": Kind("AI calls that failed", Filter(figure="failed_calls")),
    "tool_calls": Kind("tool calls", _of(EventType.TOOL_CALL)),
    "reviews": Kind("reviews that a person decided", Filter(figure="decided")),
    "overrides": Kind("decisions against what the AI proposed", Filter(figure="overrides")),
    "rejected": Kind("reviews that rejected", Filter(figure="decided", decision=("rejected",))),
    "timed": Kind("reviews with a measured active time", Filter(figure="timed")),
    "escalations": Kind("escalations", _of(EventType.ESCALATION)),
    "evaluations": Kind("evaluations", _of(EventType.EVALUATION)),
    "accesses": Kind("accesses to the trail", _of(EventType.ACCESS), is_of_the_trail=True),
    "exports": Kind("exports and bundles", Filter(action=("EXPORT", "BUNDLE")), is_of_the_trail=True),
    "large_exports": Kind("exports of 10,000 rows or more", Filter(figure="large_exports"), is_of_the_trail=True),
    "failed_accesses": Kind(
        "accesses that were denied or failed", Filter(figure="failed_accesses"), is_of_the_trail=True
    ),
    "off_hours": Kind("accesses at night or at the weekend (UTC)", Filter(figure="off_hours"), is_of_the_trail=True),
    "log_reviews": Kind("log reviews signed", _of(EventType.LOG_REVIEW), is_of_the_trail=True),
    "erasures": Kind("erasures", _of(EventType.ERASURE), is_of_the_trail=True),
    "retention_entries": Kind("entries about retention and holds", _of(EventType.RETENTION), is_of_the_trail=True),
    "key_rotations": Kind("key rotations", _of(EventType.KEY_ROTATION), is_of_the_trail=True),
    "losses": Kind("losses that were noticed", _of(EventType.LOSS), is_of_the_trail=True),
    "id_conflicts": Kind("records under an id that was taken", Filter(figure="id_conflicts")),
}


@dataclass(frozen=True, slots=True)
class Control:
    """One article, requirement or criterion. ``evidence`` and ``also`` name KINDS: only the first count as evidence.

    Without ``evidence`` it asks for what this system does not record. ``facts`` are of FACTS.
    """

    reference: str
    title: str
    asks: str
    evidence: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standard:
    """A standard; ``keep_days`` is the shortest retention that its text names in days, 0 when it names none."""

    code: str
    name: str
    source: str
    unit: str
    keep_days: int
    keep_words: str
    controls: tuple[Control, ...]


@cache
def standard(code: str) -> Standard:
    """The standard of this name, one of STANDARDS."""
    text = files(__package__).joinpath("standards", f"{STANDARDS[code]}.toml").read_text(encoding="utf-8")
    given = tomllib.loads(text)
    controls = tuple(
        Control(
            each["reference"],
            each["title"],
            each["asks"],
            *(tuple(each.get(name, ())) for name in ("evidence", "also", "facts", "limits")),
        )
        for each in given["controls"]
    )
    keep = given["retention"]
    return Standard(code, given["name"], given["source"], given["unit"], keep["days"], keep["words"], controls)
