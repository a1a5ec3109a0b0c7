"""Log reviews: which weeks of the trail somebody must look over, what stands out in each, and who signed.

A review covers one calendar week in UTC (ISO 8601, Monday to Sunday). Its sign-off is an entry of type ``log_review``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Self

from otel_audit.errors import ConfigError
from otel_audit.model import EventType, Filter
from otel_audit.semconv import AUDIT_ROW_COUNT, AUDIT_TARGET_ID
from otel_audit.store.reader import LedgerState, Reader

_WEEK: Final = re.compile(r"(\d{4})-W(\d{2})")
_SECOND: Final = 1_000_000_000
_DAY: Final = 86_400 * _SECOND

# What deserves attention in a week: a code, what it is, and exactly the events that it counts.
FINDINGS: Final = (
    ("accesses", "accesses to the trail", Filter(event_type=(EventType.ACCESS,))),
    ("large_exports", "exports of 10,000 rows or more", Filter(figure="large_exports")),
    ("off_hours", "accesses at night or at the weekend (UTC)", Filter(figure="off_hours")),
    ("failed_accesses", "accesses that were denied or failed", Filter(figure="failed_accesses")),
    ("erasures", "erasures", Filter(event_type=(EventType.ERASURE,))),
    ("retention", "retention runs", Filter(event_type=(EventType.RETENTION,))),
    ("key_rotations", "key rotations", Filter(event_type=(EventType.KEY_ROTATION,))),
    ("losses", "losses", Filter(event_type=(EventType.LOSS,))),
    ("id_conflicts", "records under an id that was taken", Filter(figure="id_conflicts")),
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
        raise ConfigError(f"--week {text}: is no week; write it like 2026-W47 (ISO 8601)")

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
    """That somebody reviewed a week. ``independent``: nothing that they looked over was their own access.

    ``events`` is how many entries the week had then; None when the record does not say.
    """

    reviewer: str
    at_unix_nano: int
    remark: str
    events: int | None
    independent: bool
    origin: str
    seq: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a week: running, open, overdue or signed."""

    week: Week
    state: str
    sign_offs: Sequence[SignOff]


def findings(reader: Reader, week: Week, sizes: Sequence[tuple[str, int]] = ()) -> list[Found]:
    """What stands out in a week; kinds with no event are listed with zero."""
    asked = [(code, title, week.filter(replace(where, sizes=sizes))) for code, title, where in FINDINGS]
    return [Found(code, title, reader.count(where).events, where) for code, title, where in asked]


def own_accesses(reader: Reader, week: Week, person: str) -> int:
    """How many accesses of the week are this person's own."""
    return reader.count(week.filter(Filter(event_type=(EventType.ACCESS,), actor_id=(person,)))).events


def queue(reader: Reader, now_unix_nano: int, due_days: int) -> list[Standing]:
    """Every week since the first entry was recorded, newest first. One is overdue ``due_days`` after its end.

    A sign-off counts when it was made after the week's end by somebody with no access of their own in it.
    """
    ledgers = reader.ledgers()
    if not ledgers:
        return []
    signed = _sign_offs(reader)
    week, found = Week.of(min(ledger.first_recorded_unix_nano for ledger in ledgers)), []
    while week.since <= now_unix_nano:
        given = signed.get(week.name, [])
        if any(each.independent and each.at_unix_nano >= week.until for each in given):
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
        raise ConfigError("--reviewer: a sign-off needs the name of who signs")
    if now_unix_nano < week.until:
        raise ConfigError(f"{week.name} is not over: it can be signed from {week.next().monday} 00:00 UTC on")
    ledgers = reader.ledgers()
    if not ledgers or week < Week.of(min(each.first_recorded_unix_nano for each in ledgers)):
        raise ConfigError(f"{week.name} is before the first entry: there is nothing to sign")
    own = own_accesses(reader, week, person)
    if own:
        raise ConfigError(
            f"{person} may not sign {week.name}: {own} of its accesses are their own, and nobody signs off their own "
            "actions. Let somebody else review it"
        )


def statement(ledgers: Sequence[LedgerState], found: Sequence[Found]) -> dict[str, Any]:
    """What a sign-off says was looked at: each ledger's head and newest checkpoint, and what stood out."""
    heads = [
        {"origin": each.origin, "size": each.size, "last_hash": each.last_hash_hex}
        | (
            {"checkpoint_size": each.checkpoint.size, "root_hash": each.checkpoint.root_hash_hex}
            if each.checkpoint
            else {}
        )
        for each in ledgers
    ]
    return {"ledgers": heads, "findings": {each.code: each.events for each in found}}


def _sign_offs(reader: Reader) -> dict[str, list[SignOff]]:
    found: dict[str, list[SignOff]] = {}
    for rows in reader.stream(Filter(event_type=(EventType.LOG_REVIEW,))):
        for row in rows:
            name, count = row["attributes"].get(AUDIT_TARGET_ID, ""), row["attributes_json"].get(AUDIT_ROW_COUNT, "")
            if not _WEEK.fullmatch(name):
                continue  # a log review of another shape, told by another producer
            try:
                week = Week.parse(name)
            except ConfigError:
                continue
            sign_off = SignOff(
                reviewer=row["actor_id"],
                at_unix_nano=row["event_time"],
                remark=row["content"].get("rationale", ""),
                events=int(count) if str(count).isdecimal() else None,
                independent=bool(row["actor_id"]) and not own_accesses(reader, week, row["actor_id"]),
                origin=row["origin"],
                seq=row["seq"],
            )
            found.setdefault(week.name, []).append(sign_off)
    return found
