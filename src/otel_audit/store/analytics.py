"""Figures over the ledgers: what the pages on reviewers and on AI usage are drawn from.

Every method takes a ``Filter`` and counts over exactly the entries that ``Reader.count`` finds for the same filter
with the ``figure`` that the method names. Aggregates only: no text is read, and no row of a person. Nothing counts
twice that several instrumentations reported (``duplicate_of``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from otel_audit.errors import ConfigError
from otel_audit.model import Called, ConfidenceBin, Filter, QuickReview, Reviewed, Sight
from otel_audit.store.database import Database
from otel_audit.store.filters import EVERYTHING, conditions, in_period
from otel_audit.store.sql_text import sql, sql_blocks

_GROUPS: Final = sql_blocks("analytics_groups")
GROUPS: Final = tuple(_GROUPS)
_OF_THE_CALL: Final = ("model", "model_version", "prompt")  # a review has these of its task's AI calls
_SPREADS: Final = sql_blocks("analytics_spread_of")

_FIRST_COUNTS: Final = ("reviews", "approved", "modified", "rejected", "escalated", "overrides")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FirstDecisions:
    """First decisions, counted; their times are not read.

    ``by`` has the names of GROUPS, of the task's AI calls, and ``reviewing``, the service of the review itself.
    ``days`` are (day, decision, number), ``bins`` tenths of the confidence that the task's last answer stated.
    """

    total: Reviewed
    by: Mapping[str, list[Reviewed]]
    days: list[tuple[str, str, int]]
    bins: list[ConfidenceBin]


class Analytics:
    """Figures over the ledgers of one database. Safe to share between threads: each call borrows a client.

    They look at other entries of a task, too. So whoever may see a part of the record only is refused: ConfigError.
    """

    def __init__(self, database: Database, sight: Sight = EVERYTHING) -> None:
        if sight.scope != Filter():
            raise ConfigError("figures are of all of the record, and you see a part of it only")
        self._database = database

    def reviews(self, where: Filter) -> Reviewed:
        """All reviews of the filter as one group."""
        rows = self._rows("analytics_reviews", where, group="''")
        return _reviewed(rows[0]) if rows else Reviewed("")

    def reviews_by(self, where: Filter, group: str) -> list[Reviewed]:
        """Reviews by one of GROUPS, in the order of its name. A review of two models' work counts for both."""
        if group in _OF_THE_CALL:
            join = sql("analytics_task_calls").replace("/*group*/", _group(group))
            return [_reviewed(row) for row in self._rows("analytics_reviews", where, group="calls.grp", join=join)]
        return [_reviewed(row) for row in self._rows("analytics_reviews", where, group=_group(group))]

    def first_decisions(self, where: Filter, zone: str, *, by_call: bool) -> FirstDecisions:
        """All that is asked about first decisions (``figure="first_decisions"`` of ``where``), in one pass.

        ``by_call``: also by what their task's AI calls were, which takes twice as long.
        """
        rows = self._rows("analytics_first", replace(where, figure=""), of_calls=by_call, zone=zone)
        by: dict[str, list[Reviewed]] = {}
        days: list[tuple[str, str, int]] = []
        bins: list[ConfidenceBin] = []
        for row in rows:
            dim, group = row["dim"], row["grp"]
            if dim == "day":
                day, _, decision = group.partition("\n")
                days.append((day, decision, row["reviews"]))
            elif dim == "bin":
                bins.append(ConfidenceBin(int(group), row["reviews"], row["confidence"], row["kept"]))
            elif by_call or dim not in {*_OF_THE_CALL, "service"}:
                counts = {name: row[name] for name in _FIRST_COUNTS}
                by.setdefault(dim, []).append(Reviewed(group, decided=row["reviews"], **counts))
        total = by.pop("", [Reviewed("")])[0]
        return FirstDecisions(total, by, days, bins)

    def decisions_by_day(self, where: Filter, zone: str) -> list[tuple[str, str, int]]:
        """(day as 2026-11-23 in ``zone``, decision, reviews) by when they were decided, in order."""
        rows = self._rows("analytics_decisions", where, zone=zone)
        return [(row["day"], row["decision"], row["reviews"]) for row in rows]

    def hours(self, where: Filter, zone: str) -> list[tuple[int, int, int]]:
        """(weekday from 1 = Monday, hour, reviews) in ``zone``, by when they were decided."""
        rows = self._rows("analytics_hours", where, zone=zone)
        return [(row["weekday"], row["hour"], row["reviews"]) for row in rows]

    def spread(self, where: Filter, of: str, edges: Sequence[float]) -> dict[float, int]:
        """Reviews by the lower edge of the bin that their ``active`` time or ``wait`` (seconds) falls into."""
        rows = self._rows("analytics_spread", where, seconds=_SPREADS[of], edges=list(edges))
        return {row["low"]: row["reviews"] for row in rows}

    def double_reviewed(self, where: Filter) -> dict[tuple[str, ...], int]:
        """What people decided about the same task, in order, and in how many tasks. Each person counts once a task."""
        rows = self._rows("analytics_double", replace(where, figure="double_reviewed"))
        return {tuple(row["decisions"]): row["tasks"] for row in rows}

    def quick(self, where: Filter, limit: int) -> tuple[int, list[QuickReview]]:
        """How many reviews ``where`` with ``figure="quick"`` counts, and the newest ``limit`` of them."""
        rows = self._rows("analytics_quick", where, limit=limit)
        total = sum({row.pop("total") for row in rows})  # the same in each
        tasks = sorted({row["task_id"] for row in rows})
        # Of these tasks alone: a join would lay every AI call of the ledgers beside a few reviews.
        answers = self._rows("analytics_answer_tokens", Filter(), tasks=tasks) if tasks else []
        tokens = {row["task_id"]: row["tokens"] for row in answers}
        return total, [QuickReview(**row, tokens=tokens.get(row["task_id"], 0)) for row in rows]

    def escalations(self, where: Filter) -> dict[tuple[str, str], int]:
        """Escalations by (reason, next decision in the task); the decision is empty while there is none."""
        rows = self._rows("analytics_escalations", where)
        return {(row["code"], row["outcome"]): row["escalations"] for row in rows}

    def calls(self, where: Filter) -> Called:
        """All AI calls of the filter as one group."""
        rows = self._rows("analytics_calls", where, group="''")
        return _called(rows[0]) if rows else Called("")

    def calls_by(self, where: Filter, group: str) -> list[Called]:
        """AI calls by one of GROUPS, in the order of its name."""
        return [_called(row) for row in self._rows("analytics_calls", where, group=_group(group))]

    def calls_by_day(self, where: Filter, zone: str) -> list[Row]:
        """Rows with day, calls, failed, stated (calls with a confidence), confidence (their sum) and median latency."""
        return self._rows("analytics_calls_by_day", where, zone=zone)

    def tokens(self, where: Filter, group: str) -> list[Row]:
        """Rows with grp, day (UTC), provider, model, asked_model and the four token counts that have a price."""
        return self._rows("analytics_tokens", where, group=_group(group))

    def extent(self, where: Filter, types: Sequence[str]) -> tuple[int, int | None, int | None]:
        """How many events of these types, and the first and last event_time in nanoseconds."""
        row = self._rows("analytics_extent", where, types=[str(name) for name in types])[0]
        return (row["events"], row["first_unix_nano"], row["last_unix_nano"]) if row["events"] else (0, None, None)

    def _rows(
        self,
        statement: str,
        where: Filter,
        *,
        group: str = "",
        join: str = "",
        seconds: str = "",
        of_calls: bool = False,
        **parameters: Any,
    ) -> list[Row]:
        condition, values = conditions(where)
        text = sql(statement).replace("/*group*/", group).replace("/*join*/", join).replace("/*seconds*/", seconds)
        for name, expression in _GROUPS.items():
            text = text.replace(f"/*{name}*/", expression if of_calls else "''")
        with self._database.client() as client:
            text = in_period(text.replace("/*filter*/", condition), where)
            result = client.query(text, parameters=values | parameters)
        names = result.column_names
        return [dict(zip(names, each, strict=True)) for each in zip(*result.result_columns, strict=True)]


def _group(name: str) -> str:
    if name not in _GROUPS:
        raise ConfigError(f"{name!r} is nothing to group by; possible: {', '.join(GROUPS)}")
    return _GROUPS[name]


def _reviewed(row: Row) -> Reviewed:
    return Reviewed(
        group=row.pop("grp"),
        active=_pair(row.pop("active"), row["timed"]),
        wait=_pair(row.pop("wait"), row["waited"]),
        **row,
    )


def _called(row: Row) -> Called:
    return Called(group=row.pop("grp"), latency=_pair(row.pop("latency"), row["timed"]), **row)


def _pair(values: Sequence[float], number: int) -> tuple[float, float] | None:
    return (float(values[0]), float(values[1])) if number else None
