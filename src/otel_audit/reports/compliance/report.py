"""A report: for each control of a standard, what the trail holds as evidence of a period, and what it can not say.

Every figure is the number of events that its filter finds, and no other number is evidence. ``Beside`` is what is known
from outside of the store; what is not known there is not in the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final

from otel_audit.errors import ConfigError, VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.model import Filter, Reviewed
from otel_audit.reports._times import clock, iso_nano
from otel_audit.reports.compliance import notes
from otel_audit.reports.compliance.standard import KINDS, Control, Standard
from otel_audit.reports.log_review import Standing, queue
from otel_audit.reports.verification import Report as Verification
from otel_audit.store.analytics import Analytics
from otel_audit.store.anchor_states import AnchorState
from otel_audit.store.database import Database
from otel_audit.store.reader import LedgerState, Reader
from otel_audit.store.recheck_state import RecheckState
from otel_audit.store.retention import RetentionStore

DUE_DAYS: Final = 7  # after a week's end, as `otel-audit review-logs` has it
_NARROWING: Final = ("service", "environment", "since", "until", "sizes")


class State(StrEnum):
    """How it stands with a control: there are events that speak to it, there are none, or there never can be."""

    EVIDENCE = "evidence in this period"
    NONE = "none in this period"
    NOT_RECORDED = "not something this system records"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of events, and the filter that finds exactly these. ``is_evidence``: it decides the control's state."""

    code: str
    title: str
    events: int
    where: Filter
    is_evidence: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What the report says about one control."""

    control: Control
    state: State
    figures: tuple[Figure, ...]
    notes: tuple[notes.Note, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger's head; ``anchors`` are (kind, how many checkpoints it has, the largest size that they state)."""

    state: LedgerState
    anchors: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """A retention class: what is there, and what was removed of it and after how many days at the least."""

    name: str
    entries: int
    first_recorded: int
    removed: int = 0
    removed_after_days: int | None = None


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known from beside the store: anchors, the receiver's check of itself, and a verification if asked for.

    ``self_check`` is None where no data folder is known.
    """

    checkpoints: Sequence[AnchoredCheckpoint] = ()
    anchors: Sequence[AnchorState] = ()
    self_check: RecheckState | None = None
    verification: Verification | None = None


@dataclass(frozen=True, slots=True)
class Compliance:
    """A whole report. ``where`` has the period and what narrows it, frozen: it finds ``events``, from the first on."""

    standard: Standard
    where: Filter
    made_unix_nano: int
    events: int
    first_unix_nano: int | None
    answers: tuple[Answer, ...]
    ledgers: tuple[Ledger, ...]
    beside: Beside
    kept: tuple[Kept, ...]
    retention_problem: str
    weeks: tuple[Standing, ...]
    oversight: Reviewed

    def count(self, state: State) -> int:
        """How many controls are in this state."""
        return sum(each.state == state for each in self.answers)

    @property
    def period(self) -> str:
        """The period in words, in UTC."""
        begin = self.where.since if self.where.since is not None else self.first_unix_nano
        return f"{clock(begin) if begin is not None else 'the beginning'} to {clock(self.where.until or 0)}"

    @property
    def narrowed(self) -> str:
        """What narrows the report besides its period; empty without."""
        return "; ".join(
            f"{name} {', '.join(values)}"
            for name, values in (("service", self.where.service), ("environment", self.where.environment))
            if values
        )


def build(database: Database, standard: Standard, where: Filter, now_unix_nano: int, beside: Beside) -> Compliance:
    """Make the report on what ``where`` covers: a period, services, environments, and the sizes to freeze it at.

    Raises ConfigError for a filter by anything else, StoreError when the store does not answer.
    """
    _refuse_other(where)
    reader = Reader(database)
    ledgers = reader.ledgers()
    sizes = where.sizes or tuple((each.origin, each.size) for each in ledgers)
    where = replace(where, sizes=sizes, until=now_unix_nano if where.until is None else where.until)
    sealed = {each.origin: each.checkpoint.size if each.checkpoint else 0 for each in ledgers}
    counted: dict[str, tuple[int, Filter]] = {}

    def count(code: str) -> tuple[int, Filter]:
        if code not in counted:
            narrowed = _narrowed(code, where, sealed)
            counted[code] = reader.count(narrowed).events, narrowed
        return counted[code]

    kept, problem = _kept(database, ledgers)
    weeks = tuple(
        each
        for each in queue(reader, now_unix_nano, DUE_DAYS)
        if each.week.since < (where.until or 0) and (where.since is None or each.week.until > where.since)
    )
    totals = reader.count(where)
    found = Compliance(
        standard=standard,
        where=where,
        made_unix_nano=now_unix_nano,
        events=totals.events,
        first_unix_nano=totals.first_unix_nano,
        answers=(),
        ledgers=tuple(Ledger(each, _anchors(each.origin, beside.checkpoints)) for each in ledgers),
        beside=beside,
        kept=kept,
        retention_problem=problem,
        weeks=weeks,
        oversight=Analytics(database).reviews(where),
    )
    said = {
        "integrity": notes.integrity(found.ledgers, beside),
        "retention": notes.retention(kept, problem, standard),
        "log_reviews": notes.log_reviews(weeks),
        "oversight": notes.oversight(found.oversight),
    }
    answers = []
    for control in standard.controls:
        figures = tuple(
            Figure(code, KINDS[code].title, *count(code), code in control.evidence)
            for code in (*control.evidence, *control.also)
        )
        told = tuple(note for fact in control.facts for note in said[fact])
        answers.append(Answer(control, _state(figures), figures, told))
    return replace(found, answers=tuple(answers))


def as_json(report: Compliance) -> dict[str, Any]:
    """The report for programs: every figure with the filter that finds its events."""
    standard, beside = report.standard, report.beside
    return {
        "standard": {"code": standard.code, "name": standard.name, "source": standard.source},
        "period": {
            "since": iso_nano(report.where.since) if report.where.since is not None else None,
            "until": iso_nano(report.where.until or 0),
            "first_event": iso_nano(report.first_unix_nano) if report.first_unix_nano is not None else None,
        },
        "filter": filter_fields(report.where),
        "events": report.events,
        "controls": [
            {
                "reference": each.control.reference,
                "title": each.control.title,
                "asks": each.control.asks,
                "state": str(each.state),
                "figures": [
                    {
                        "code": figure.code,
                        "title": figure.title,
                        "events": figure.events,
                        "is_evidence": figure.is_evidence,
                        "filter": filter_fields(figure.where),
                    }
                    for figure in each.figures
                ],
                "notes": [asdict(note) for note in each.notes],
                "limits": list(each.control.limits),
            }
            for each in report.answers
        ],
        "ledgers": [
            {
                **{name: value for name, value in asdict(each.state).items() if name != "checkpoint"},
                "checkpoint": asdict(each.state.checkpoint) if each.state.checkpoint else None,
                "anchors": [
                    {"kind": kind, "checkpoints": number, "largest_size": size} for kind, number, size in each.anchors
                ],
            }
            for each in report.ledgers
        ],
        "external_anchors": [asdict(each) for each in beside.anchors],
        "self_check": asdict(beside.self_check) if beside.self_check else None,
        "verification": beside.verification.to_json() if beside.verification else None,
        "retention": {
            "minimum_days": standard.keep_days,
            "minimum": standard.keep_words,
            "classes": [asdict(each) for each in report.kept],
            "problem": report.retention_problem,
        },
        "log_reviews": [
            {"week": each.week.name, "state": each.state, "signed_by": [by.reviewer for by in each.sign_offs]}
            for each in report.weeks
        ],
        "oversight": asdict(report.oversight),
    }


def filter_fields(where: Filter) -> dict[str, Any]:
    """The fields of a filter that are set."""
    return {
        each.name: value
        for each in fields(Filter)
        if (value := getattr(where, each.name)) is not None and (value or isinstance(value, int)) and value != ()
    }


def _refuse_other(where: Filter) -> None:
    other = [name for name in filter_fields(where) if name not in _NARROWING]
    if other:
        raise ConfigError(f"a report is narrowed by its period, service and environment, not by {', '.join(other)}")


def _narrowed(code: str, where: Filter, sealed: dict[str, int]) -> Filter:
    """The events of a kind in the period."""
    kind = KINDS[code]
    sizes = where.sizes
    if code == "sealed":
        sizes = tuple((origin, min(size, sealed.get(origin, 0))) for origin, size in sizes)
    found = replace(kind.where, since=where.since, until=where.until, sizes=sizes)
    if kind.is_of_the_trail:
        return found
    return replace(found, service=where.service, environment=where.environment)


def _state(figures: Iterable[Figure]) -> State:
    evidence = [figure.events for figure in figures if figure.is_evidence]
    if not evidence:
        return State.NOT_RECORDED
    return State.EVIDENCE if any(evidence) else State.NONE


def _anchors(origin: str, checkpoints: Iterable[AnchoredCheckpoint]) -> tuple[tuple[str, int, int], ...]:
    found: dict[str, tuple[int, int]] = {}
    for each in checkpoints:
        if each.origin == origin:
            number, largest = found.get(each.kind, (0, 0))
            found[each.kind] = number + 1, max(largest, _size(each.note))
    return tuple((kind, *rest) for kind, rest in sorted(found.items()))


def _size(note: str) -> int:
    try:
        return read_checkpoint(note).size
    except VerificationError:
        return 0  # no checkpoint: a verification names it


def _kept(database: Database, ledgers: Sequence[LedgerState]) -> tuple[tuple[Kept, ...], str]:
    """The retention classes of all ledgers, and what is wrong with their statements."""
    classes: dict[str, Kept] = {}
    problem = ""
    for ledger in ledgers:
        store = RetentionStore(database, ledger.origin)
        for each in store.partitions():
            old = classes.get(each.retention_class, Kept(each.retention_class, 0, each.first_recorded))
            classes[old.name] = replace(
                old,
                entries=old.entries + each.entry_count,
                first_recorded=min(old.first_recorded, each.first_recorded),
            )
        try:
            expiries = store.expiries()
        except VerificationError as exc:
            problem = f"{ledger.origin}: {exc}"
            continue
        for _, expiry in expiries:
            old = classes.get(expiry.retention_class, Kept(expiry.retention_class, 0, 0))
            days = expiry.keep_seconds // 86_400
            soonest = days if old.removed_after_days is None else min(days, old.removed_after_days)
            classes[old.name] = replace(old, removed=old.removed + expiry.count, removed_after_days=soonest)
    return tuple(classes[name] for name in sorted(classes)), problem
