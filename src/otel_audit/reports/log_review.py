"""Log reviews: which weeks of the trail somebody must look over, what stands out in each, and who signed.

A review covers one calendar week in UTC (ISO 8601, Monday to Sunday). Its sign-off is an entry of type ``log_review``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final, Self

from otel_audit.conventions.draft import number
from otel_audit.errors import ConfigError, VerificationError
from otel_audit.ledger.erasure import KIND as ERASURE
from otel_audit.ledger.statement import read_statement
from otel_audit.model import EventType, Filter
from otel_audit.reports.reviews import QUICK_FLOOR, WORDS_PER_MINUTE
from otel_audit.semconv import (
    AUDIT_ERASURE_STATEMENT,
    AUDIT_LOG_REVIEW_LEDGER,
    AUDIT_LOG_REVIEW_SECONDS,
    AUDIT_ROW_COUNT,
    AUDIT_TARGET_ID,
)
from otel_audit.store.reader import Reader

DUE_DAYS: Final = 7
_WEEK: Final = re.compile(r"(19[7-9]\d|20\d\d|21\d\d)-W(\d{2})", re.ASCII)  # times in the ledger end in 2262
_HEAD: Final = re.compile(r"(\d{1,19}) ([0-9a-f]{64}) (\S+)", re.ASCII)
_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND

# What deserves attention in a week: a code, what it is, and exactly the events that it counts.
FINDINGS: Final = (
    ("accesses", "accesses to the trail", Filter(event_type=(EventType.ACCESS,))),
    ("large_exports", "exports of 10,000 rows or more", Filter(figure="large_exports")),
    ("off_hours", "accesses at night or at the weekend (UTC)", Filter(figure="off_hours")),
    ("failed_accesses", "accesses that were denied or failed", Filter(figure="failed_accesses")),
    ("failed_checks", "checks of the ledger that found something", Filter(figure="failed_checks")),
    ("erasures", "erasures", Filter(event_type=(EventType.ERASURE,))),
    ("retention", "retention runs", Filter(event_type=(EventType.RETENTION,))),
    ("key_rotations", "key rotations", Filter(event_type=(EventType.KEY_ROTATION,))),
    ("losses", "losses", Filter(event_type=(EventType.LOSS,))),
    ("id_conflicts", "records under an id that was taken", Filter(figure="id_conflicts")),
    ("unrecognised", "records that look like AI calls and were not understood", Filter(figure="unrecognised")),
    (
        "quick_reviews",
        f"reviews decided in under {QUICK_FLOOR} seconds, or faster than {WORDS_PER_MINUTE} words a minute",
        Filter(figure="quick", quick_floor=QUICK_FLOOR, words_per_minute=WORDS_PER_MINUTE),
    ),
)


@dataclass(frozen=True, slots=True, order=True)
class Week:
    """A calendar week in UTC, by its Monday."""

    monday: date

    @classmethod
    def parse(cls, text: str) -> Self:
        """The week that ``text`` names.

        >>> Week.parse("2026-W47").monday
        datetime.date(2026, 11, 16)
        """
        match = _WEEK.fullmatch(text)
        try:
            if match:
                return cls(date.fromisocalendar(int(match[1]), int(match[2]), 1))
        except ValueError:
            pass
        raise ConfigError(f"week {text!r}: there is none of that name; write it like 2026-W47 (ISO 8601)")

    @classmethod
    def of(cls, unix_nano: int) -> Self:
        """The week of an instant."""
        day = datetime.fromtimestamp(unix_nano // _SECOND, UTC).date()
        return cls(day - timedelta(days=day.weekday()))

    @property
    def name(self) -> str:
        """The week as ISO 8601 writes it."""
        year, week, _ = self.monday.isocalendar()
        return f"{year:04}-W{week:02}"

    @property
    def since(self) -> int:
        """Its first nanosecond."""
        return int(datetime(self.monday.year, self.monday.month, self.monday.day, tzinfo=UTC).timestamp()) * _SECOND

    @property
    def until(self) -> int:
        """The first nanosecond after it."""
        return self.since + 7 * _DAY

    def next(self) -> Week:
        """The week after it."""
        return Week(self.monday + timedelta(days=7))

    def previous(self) -> Week:
        """The week before it."""
        return Week(self.monday - timedelta(days=7))

    def filter(self, where: Filter = Filter()) -> Filter:  # noqa: B008 - frozen
        """``where``, in this week."""
        return replace(where, since=self.since, until=self.until)


@dataclass(frozen=True, slots=True)
class Found:
    """How many events of a week are of one kind; ``where`` is exactly these."""

    code: str
    title: str
    events: int
    where: Filter


@dataclass(frozen=True, slots=True)
class SignOff:
    """That somebody reviewed a week. ``independent``: nothing of it was their own access or erasure.

    ``at_unix_nano`` is when the receiver recorded it: the time that a signer states could be any. ``events`` is how
    many entries the week had then, ``seconds`` how long it was open, and ``sizes`` how far each ledger was; None, or
    empty, when the record does not say.
    """

    reviewer: str
    at_unix_nano: int
    remark: str
    events: int | None
    seconds: float | None
    sizes: Sequence[tuple[str, int]]
    independent: bool
    origin: str
    seq: int

    def without_effect(self, week: Week) -> str:
        """Why this does not settle the week; empty when it does."""
        if not self.independent:
            return "the signer has actions of their own in this week" if self.reviewer else "it names nobody"
        return "" if self.at_unix_nano >= week.until else "it was signed before the week was over"


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a week: running, open, overdue or signed. Sign-offs are in the order they were recorded."""

    week: Week
    state: str
    sign_offs: Sequence[SignOff]


def findings(reader: Reader, week: Week, sizes: Sequence[tuple[str, int]] = ()) -> list[Found]:
    """What stands out in a week; kinds with no event are listed with zero."""
    asked = [(code, title, week.filter(replace(where, sizes=sizes))) for code, title, where in FINDINGS]
    return [Found(code, title, reader.count(where).events, where) for code, title, where in asked]


def own_accesses(week: Week, person: str) -> Filter:
    """The accesses of a week that are this person's own. Opening a week to review it is none."""
    return week.filter(Filter(figure="looks", actor_id=(person,)))


def erasers(reader: Reader, where: Filter = Filter()) -> Counter[tuple[str, int]]:  # noqa: B008 - frozen
    """How many erasures each person asked for or approved, by (who, Monday of the week), as their statements say."""
    found: Counter[tuple[str, int]] = Counter()
    for block in reader.stream(replace(where, event_type=(EventType.ERASURE,)), with_content=False):
        for row in block:
            try:
                said = read_statement(row["attributes"].get(AUDIT_ERASURE_STATEMENT, ""), ERASURE).fields
            except VerificationError:
                continue  # it names nobody; a verification tells
            people = {str(said.get("requested_by", "")), str(said.get("approved_by", ""))} - {""}
            found.update((who, Week.of(row["event_time"]).since) for who in people)
    return found


def who_acted(reader: Reader, week: Week, limit: int = 10_000) -> list[tuple[str, int]]:
    """Who had accesses of their own in a week, or a part in an erasure, and how many: these may not sign it."""
    found = Counter(dict(reader.facet(week.filter(Filter(figure="looks")), "actor_id", limit)))
    for (who, _), erased in erasers(reader, week.filter()).items():
        found[who] += erased
    return [(who, actions) for who, actions in found.most_common() if who]


def late_entries(standing: Standing) -> Filter | None:
    """What arrived in a signed week after the newest signature that counts; None when that is not known."""
    counting = [each for each in standing.sign_offs if not each.without_effect(standing.week)]
    return standing.week.filter(Filter(beyond=counting[-1].sizes)) if counting and counting[-1].sizes else None


def queue(reader: Reader, now_unix_nano: int, due_days: int = DUE_DAYS) -> list[Standing]:
    """Every week since the first entry was recorded, newest first. One is overdue ``due_days`` after its end.

    A sign-off counts when it was made after the week's end by somebody with no action of their own in it.
    """
    ledgers = reader.ledgers()
    if not ledgers:
        return []
    signed = _sign_offs(reader)
    week, found = Week.of(min(ledger.first_recorded_unix_nano for ledger in ledgers)), []
    while week.since <= now_unix_nano:
        given = signed.get(week.name, [])
        if not all(each.without_effect(week) for each in given):
            state = "signed"
        elif now_unix_nano < week.until:
            state = "running"
        else:
            state = "overdue" if now_unix_nano >= week.until + due_days * _DAY else "open"
        found.append(Standing(week, state, given))
        week = week.next()
    return found[::-1]


def refuse_unless_signable(reader: Reader, week: Week, person: str, now_unix_nano: int) -> None:
    """Raise ConfigError when this person may not sign this week, or nobody may yet."""
    if not person.strip():
        raise ConfigError("a sign-off needs the name of who signs (--reviewer)")
    if now_unix_nano < week.until:
        raise ConfigError(f"{week.name} is not over: it can be signed from {week.next().monday} 00:00 UTC on")
    ledgers = reader.ledgers()
    if not ledgers or week < Week.of(min(each.first_recorded_unix_nano for each in ledgers)):
        raise ConfigError(f"{week.name} is before the first entry: there is nothing to sign")
    own, erased = reader.count(own_accesses(week, person)).events, erasers(reader, week.filter())[person, week.since]
    if own or erased:
        said = [f"{own:,} access{'' if own == 1 else 'es'}"] if own else []
        said += [f"{erased:,} erasure{'' if erased == 1 else 's'}"] if erased else []
        are = "is" if own + erased == 1 else "are"
        raise ConfigError(
            f"{person} may not sign {week.name}: {' and '.join(said)} of it {are} their own, and nobody signs off "
            "their own actions. Let a second person review and sign the week"
        )


def _sign_offs(reader: Reader) -> dict[str, list[SignOff]]:
    rows = [row for block in reader.stream(Filter(event_type=(EventType.LOG_REVIEW,))) for row in block]
    acted = reader.weeks_of_accesses(sorted({row["actor_id"] for row in rows} - {""})) | (
        erasers(reader).keys() if rows else set()
    )
    found: dict[str, list[SignOff]] = {}
    for row in rows:
        try:
            week = Week.parse(row["attributes"].get(AUDIT_TARGET_ID, ""))
        except ConfigError:
            continue  # a log review of another shape, told by another producer
        who, said = row["actor_id"], row["attributes_json"]
        sign_off = SignOff(
            reviewer=who,
            at_unix_nano=row["recorded_at"],
            remark=row["content"].get("rationale", ""),
            events=int(counted) if (counted := said.get(AUDIT_ROW_COUNT, "")).isdecimal() else None,
            seconds=number(said.get(AUDIT_LOG_REVIEW_SECONDS, "")),
            sizes=_sizes(row["attributes"]),
            independent=bool(who) and (who, week.since) not in acted,
            origin=row["origin"],
            seq=row["seq"],
        )
        found.setdefault(week.name, []).append(sign_off)
    for given in found.values():
        given.sort(key=lambda each: each.at_unix_nano)
    return found


def _sizes(attributes: Mapping[str, str]) -> Sequence[tuple[str, int]]:
    """How far each ledger was when somebody signed; empty when it is not said, or not in a form of ours."""
    heads = [_HEAD.fullmatch(text) for key, text in attributes.items() if key.startswith(f"{AUDIT_LOG_REVIEW_LEDGER}.")]
    return tuple((head[3], int(head[1])) for head in heads if head) if all(heads) else ()
