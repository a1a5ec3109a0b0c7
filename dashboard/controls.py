"""Reports in values: periods, how it stands with a control, and what is not set up here. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from formats import nano
from presenters import ALL_TIME, CUSTOM
from weeks import Look

from otel_audit.model import Filter
from otel_audit.reports.compliance.report import Compliance, State
from otel_audit.reports.compliance.standard import STANDARDS, standard

NAMES: Final = {standard(code).name: code for code in ("soc2", "hipaa", "gdpr", "eu-ai-act")}
PERIODS: Final = ("30 days", "Last quarter", "1 year", ALL_TIME, CUSTOM)
USUAL_PERIOD: Final = "1 year"
STATES: Final[Mapping[State, Look]] = {
    State.EVIDENCE: Look("Evidence in this period", "check_circle", "resolution"),
    State.NONE: Look("None in this period", "radio_button_unchecked", "escalation"),
    State.NOT_RECORDED: Look("Not recorded by this system", "do_not_disturb_on", "created"),
}
_OUT_OF_REACH: Final = {"s3", "rfc3161", "opentimestamps", "witness"}


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that would make the report stronger: what is missing, and how to have it. ``link`` is a page."""

    text: str
    how: str
    command: str = ""
    link: str = ""


def bounds(period: str, today: date, custom: tuple[date, date] | None = None) -> tuple[int | None, int | None]:
    """[since, until) of a period in nanoseconds, whole days in UTC; None where it is open, which is now at the end.

    >>> since, until = bounds("Last quarter", date(2026, 2, 3))
    >>> since == _midnight(date(2025, 10, 1)), until == _midnight(date(2026, 1, 1))
    (True, True)
    """
    if period == CUSTOM and custom:
        return _midnight(custom[0]), _midnight(custom[1] + timedelta(days=1))
    if period == "Last quarter":
        end = date(today.year, 3 * ((today.month - 1) // 3) + 1, 1)
        before = end - timedelta(days=1)
        return _midnight(date(before.year, before.month - 2, 1)), _midnight(end)
    length = {"30 days": 30, "1 year": 365}.get(period)
    return (_midnight(today - timedelta(days=length)), None) if length else (None, None)


def _midnight(day: date) -> int:
    return nano(datetime(day.year, day.month, day.day, tzinfo=UTC))


def gaps(report: Compliance, *, is_recording: bool, why_no_key: str, weeks_url: str) -> list[Gap]:
    """What is not set up, as far as the report shows it."""
    found = []
    if why_no_key:
        found.append(
            Gap(
                f"No report can be signed here: {why_no_key}.",
                "Make the report where the data folder is:",
                f"otel-audit report make --data DIR --url URL --standard {report.standard.code} --out report.zip "
                "--purpose WORDS",
            )
        )
    if not report.events:
        found.append(Gap("Nothing was recorded in this period.", "Choose a longer one, or fewer filters."))
    if bare := [each.state.origin for each in report.ledgers if each.state.checkpoint is None]:
        found.append(
            Gap(
                f"No checkpoint was signed of {_listed(bare)}, so nothing of it is sealed.",
                "It has one as soon as a receiver runs.",
            )
        )
    found += _anchor_gaps(report)
    if report.weeks and not any(each.state == "signed" for each in report.weeks):
        found.append(Gap("No week of this period was reviewed and signed.", "Review one:", link=weeks_url))
    elif overdue := [each.week.name for each in report.weeks if each.state == "overdue"]:
        found.append(Gap(f"Overdue for review: {_listed(overdue)}.", "Review and sign:", link=weeks_url))
    if report.oversight.decided and report.oversight.active is None:
        found.append(
            Gap(
                "No review says how long somebody looked.",
                "Use a ticket with heartbeats, or the script for the browser (docs/how-to/browser-timing.md).",
            )
        )
    elif not report.oversight.decided:
        found.append(Gap("No decision of a person is recorded.", "Record reviews (docs/how-to/instrument.md)."))
    if not is_recording:
        found.append(
            Gap(
                "Who looks at this dashboard is not recorded: no receiver is known.",
                "Start it with the address of one:",
                "otel-audit dashboard --otlp-endpoint http://HOST:4317",
            )
        )
    check = report.beside.self_check
    if check is not None and not check.checked_unix_nano:
        found.append(Gap("The receiver has not checked its own ledger yet.", "It does so by itself while it runs."))
    return found


def _anchor_gaps(report: Compliance) -> list[Gap]:
    kinds = {kind for each in report.ledgers for kind, _, _ in each.anchors}
    kinds |= {each.kind for each in report.beside.anchors if each.published_size}
    if not report.ledgers or kinds & _OUT_OF_REACH:
        return []
    text = (
        "Checkpoints are copied to a folder only: who can write there and has the key could rewrite history."
        if kinds
        else "No anchor is known here: who has the key and the store could rewrite history, and nobody could tell."
    )
    return [Gap(text, "Add one that is out of reach (docs/how-to/anchors.md):", "otel-audit up --anchors anchors.toml")]


def _listed(names: Sequence[str], shown: int = 6) -> str:
    more = len(names) - shown
    return ", ".join(sorted(names)[:shown]) + (f" and {more:,} more" if more > 0 else "")


def narrow(where: Filter) -> str:
    """What narrows a report besides its period, ready to follow a sentence; empty without."""
    parts = (*where.service, *where.environment)
    return f" for {', '.join(parts)} (what the trail records of itself is never narrowed)" if parts else ""


def file_name(code: str) -> str:
    """The report's file: "audit-soc2.zip"."""
    return f"audit-{code}.zip"


assert set(NAMES.values()) == set(STANDARDS)  # noqa: S101 - a standard that is added has a place here, too
