"""Reading the ledger: what the dashboard, the commands and the exports ask.

A **row** is a dict with every column of ``ledger.schema.STORED_COLUMNS``: times are nanoseconds since
1970, hashes lower-case hex, maps dicts. Two keys tell of the texts: ``content`` is {name: text} (empty
when it was not asked for, and without what was erased), ``content_commitments`` is {name: hex}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from otel_audit.errors import ConfigError
from otel_audit.model import Filter, Sight, Totals
from otel_audit.store._contents import Contents, EntryKey, Texts
from otel_audit.store.database import Database
from otel_audit.store.filters import EVERYTHING, Parameters, conditions
from otel_audit.store.sql_text import sql, sql_blocks

Row = dict[str, Any]

_COLUMNS: Final = sql_blocks("reader_columns")
_FULL: Final = f"{_COLUMNS['core']},\n{_COLUMNS['payload']}"
_FACETS: Final = sql_blocks("reader_facets")
_PAYLOAD: Final = tuple(re.findall(r" AS (\w+)", _COLUMNS["payload"]))
FACETS: Final = tuple(_FACETS)


def columns_of(select_list: str) -> tuple[str, ...]:
    """Return the names that a list of ``expression AS name`` gives, in order."""
    return tuple(re.findall(r" AS (\w+)", select_list))


SUMMARY_COLUMNS: Final = columns_of(_COLUMNS["summary"])

_KEYS_AT_ONCE: Final = 200_000  # 2 MB of keys; a filter is evaluated once for each of these
_RANGE_ROWS: Final = 4096  # entries in memory at once
_PICKED_ROWS: Final = 2048  # fewer: the keys travel in the request's URL, which servers limit


@dataclass(frozen=True, slots=True)
class Beside:
    """An entry that stands beside another one in a list: its key, and its task ("" for none)."""

    origin: str
    seq: int
    task_id: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a list, newest first: ``number`` (from 1) of ``total``, and what stands beside it."""

    number: int
    total: int
    newer: Beside | None
    older: Beside | None


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint as stored: the signed note, and the size and root hash it states."""

    origin: str
    size: int
    root_hash_hex: str
    created_unix_nano: int
    note: str


@dataclass(frozen=True, slots=True)
class LedgerState:
    """One ledger's extent. ``entries`` < ``size`` when retention dropped the oldest."""

    origin: str
    size: int
    first_seq: int
    entries: int
    last_hash_hex: str
    first_recorded_unix_nano: int
    last_recorded_unix_nano: int
    checkpoint: StoredCheckpoint | None


class Reader:
    """Answers about the ledgers of one database. Safe to share between threads: each call borrows a client.

    ``sight`` narrows every answer that is about entries, also of a single one: what is outside of it is not there.
    Without texts, an entry comes without them and without its OTLP record, in which they may be too. How large a
    ledger is, and its checkpoints, are told in any case.

    >>> reader = Reader(open_for_reading(Path("audit-data"), None))      # doctest: +SKIP
    >>> reader.count(Filter(event_type=["review"])).events               # doctest: +SKIP
    12
    """

    def __init__(self, database: Database, sight: Sight = EVERYTHING) -> None:
        self._database = database
        self._sight = sight
        self._contents = Contents(self._rows)

    def count(self, where: Filter) -> Totals:
        """Return how much matches."""
        row = self._filtered("reader_totals", where)[0]
        if not row["events"]:
            return Totals(0, 0, None, None)
        return Totals(**row)

    def counts_by_type(self, where: Filter) -> dict[str, int]:
        """Matching entries by event type, most frequent first."""
        return {row["event_type"]: row["events"] for row in self._filtered("reader_counts_by_type", where)}

    def histogram(self, where: Filter, *, step_seconds: int, utc_offset_seconds: int = 0) -> list[tuple[int, str, int]]:
        """(bucket start in seconds since 1970, event type, matching entries), by event_time, in order.

        ``utc_offset_seconds`` is the local clock's: with a step of a day, buckets begin at local midnight.
        """
        rows = self._filtered(
            "reader_histogram", where, step_seconds=step_seconds, utc_offset_seconds=utc_offset_seconds
        )
        return [(row["bucket"], row["event_type"], row["events"]) for row in rows]

    def page(self, where: Filter, *, page: int = 1, per_page: int = 50) -> list[Row]:
        """Return one page (from 1) of matching entries, newest first, with SUMMARY_COLUMNS only."""
        return self._filtered(
            "reader_page", where, columns=_COLUMNS["summary"], per_page=per_page, offset=(page - 1) * per_page
        )

    def place(self, where: Filter, origin: str, seq: int) -> Place | None:
        """Where an entry stands in the list that ``page`` gives; None when it does not match."""
        return self._place("reader_place", where, origin=origin, seq=seq)

    def place_of_task(self, where: Filter, task_id: str) -> Place | None:
        """Where a task stands among the tasks of the matching entries, by its newest one; None when none is its."""
        return self._place("reader_place_of_task", where, task_id=task_id)

    def facet(self, where: Filter, column: str, limit: int = 20) -> list[tuple[str, int]]:
        """Values of ``column`` (one of FACETS) among the matching entries, most frequent first.

        Raises ConfigError for a column that is no facet.
        """
        if column not in _FACETS:
            raise ConfigError(f"{column!r} can not be counted by value; possible: {', '.join(FACETS)}")
        condition, parameters = conditions(where, self._sight)
        text = sql("reader_facet").replace("/*values*/", _FACETS[column]).replace("/*filter*/", condition)
        return [(row["value"], row["events"]) for row in self._rows(text, parameters | {"limit": limit})]

    def task(self, task_id: str) -> list[Row]:
        """Return every entry of a task in the order of its story, with texts. Empty when there is none."""
        return self._full("reader_task", task_id=task_id)

    def trace(self, trace_id: str) -> list[Row]:
        """Return every entry of a trace by event_time, with texts. Empty when there is none."""
        return self._full("reader_trace", trace_id=trace_id)

    def trace_spans(self, trace_id: str) -> list[Row]:
        """Return every entry of a trace by event_time, with the columns of ``sql/reader_trace_spans.sql`` only."""
        return self._seen("reader_trace_spans", trace_id=trace_id)

    def traces(self, since_unix_nano: int = 0, limit: int = 100) -> list[Row]:
        """Return traces with an entry since then, failed ones first, then the longest.

        Columns of ``sql/reader_traces.sql``: ``all_traces`` and ``all_failed`` count beyond ``limit``.
        """
        return self._seen("reader_traces", since=since_unix_nano, limit=limit)

    def entries(self, keys: Iterable[tuple[str, int]]) -> list[Row]:
        """Return the entries at these (origin, seq), by origin and seq, with texts. What is not there is left out."""
        found: list[Row] = []
        for origin, group in groupby(sorted(keys), key=lambda key: key[0]):
            for seqs in _slices([seq for _, seq in group]):
                found += self._entries(*self._at(origin, seqs), _FULL, with_content=True)
        return found

    def entry(self, origin: str, seq: int) -> Row | None:
        """Return one entry with its texts, None when the ledger has none at ``seq``."""
        rows = self._full("reader_entry", origin=origin, seq=seq)
        return rows[0] if rows else None

    def stream(
        self, where: Filter, *, with_content: bool = True, limit: int | None = None, payload: bool = True
    ) -> Iterator[list[Row]]:
        """Every matching entry by (origin, seq), in blocks, in constant memory.

        What is appended after the call has begun is not part of it. ``payload=False`` leaves the
        columns of the block ``payload`` in ``sql/reader_columns.sql`` out, which reads twice as fast.
        """
        columns = _FULL if payload else _COLUMNS["core"]
        for keys in self._keys(where, limit):
            for origin, group in groupby(keys, key=lambda key: key[0]):
                for seqs in _slices([seq for _, seq in group]):
                    yield self._entries(*self._at(origin, seqs), columns, with_content=with_content)

    def frozen(self, where: Filter) -> Filter:
        """The same filter, up to where the ledgers end now; without ``sizes`` when there is no ledger."""
        if where.sizes:
            return where
        return replace(where, sizes=self.sizes())

    def sizes(self) -> tuple[tuple[str, int], ...]:
        """(origin, size) of each ledger, by origin: what a filter's ``sizes`` are. Cheaper than ``ledgers``."""
        origins = [row["origin"] for row in self._rows(sql("reader_origins"), {})]
        return tuple((each, self._rows(sql("reader_size"), {"origin": each})[0]["size"]) for each in origins)

    def ledgers(self) -> list[LedgerState]:
        """Return the state of each ledger in the store, by origin."""
        states = []
        for row in self._rows(sql("reader_ledgers"), {}):
            origin, last_seq = row["origin"], row.pop("last_seq")
            newest = self.checkpoints(origin, limit=1)
            last_hash = self._rows(sql("reader_hash"), {"origin": origin, "seq": last_seq})
            states.append(
                LedgerState(
                    **row,
                    size=last_seq + 1,
                    last_hash_hex=last_hash[0]["hash"],
                    checkpoint=newest[0] if newest else None,
                )
            )
        return states

    def checkpoints(self, origin: str, limit: int = 100) -> list[StoredCheckpoint]:
        """Return a ledger's newest checkpoints, newest first."""
        rows = self._rows(sql("reader_checkpoints"), {"origin": origin, "limit": limit})
        return [StoredCheckpoint(**row) for row in rows]

    def unrecognised(self, limit: int = 100) -> dict[str, int]:
        """Entries that look like GenAI but that no convention recognised, by instrumentation scope.

        Beyond ``limit`` scopes the rest is counted together, as ``other scopes``.
        """
        rows = self._filtered("reader_unrecognised", Filter(figure="unrecognised"), limit=limit)
        return {row["scope_name"]: row["events"] for row in rows}

    def weeks_of_accesses(self, actor_ids: Sequence[str]) -> set[tuple[str, int]]:
        """(who, Monday 00:00 UTC in nanoseconds since 1970) for each week with an access of one of these people.

        A look at the log review itself is none.
        """
        rows = self._filtered("reader_weeks", Filter(figure="looks", actor_id=actor_ids)) if actor_ids else []
        return {(row["actor_id"], row["monday_unix_nano"]) for row in rows}

    def service_health(self, since_unix_nano: int, limit: int = 50) -> list[Row]:
        """What each service's records since then lack: columns of ``sql/doctor_services.sql``, most AI calls first."""
        return self._of_all("doctor_services", since=since_unix_nano, limit=limit)

    def receiver_losses(self, since_unix_nano: int, limit: int = 20) -> dict[str, int]:
        """Losses that the receiver recorded since then, by reason: how many, most frequent first."""
        rows = self._of_all("doctor_internal", since=since_unix_nano, limit=limit)
        return {row["reason"]: row["lost"] for row in rows}

    def _place(self, statement: str, where: Filter, **parameters: Any) -> Place | None:
        found = self._filtered(statement, where, **parameters)[0]
        if not found["found"]:
            return None
        number, total = found["above"] + 1, found["total"]
        newer, older = (Beside(place[1], place[2], task_id) for place, task_id in (found["newer"], found["older"]))
        return Place(number, total, newer if number > 1 else None, older if number < total else None)

    def _keys(self, where: Filter, limit: int | None) -> Iterator[list[tuple[str, int]]]:
        """Yield (origin, seq) of every match, in order, up to where the ledgers end at the first call."""
        where = self.frozen(where)
        if not where.sizes:
            return
        after: tuple[str, int] = ("", -1)
        left = limit
        while left is None or left > 0:
            wanted = _KEYS_AT_ONCE if left is None else min(left, _KEYS_AT_ONCE)
            rows = self._filtered("reader_keys", where, after_origin=after[0], after_seq=after[1], limit=wanted)
            if rows:
                yield [(row["origin"], row["seq"]) for row in rows]
            if len(rows) < wanted:
                return
            after = (rows[-1]["origin"], rows[-1]["seq"])
            left = None if left is None else left - len(rows)

    def _at(self, origin: str, seqs: Sequence[int]) -> tuple[str, Parameters]:
        """Return the statement and parameters that read the entries at ``seqs`` (ascending)."""
        where: Parameters = {"origin": origin, "first": seqs[0], "last": seqs[-1]}
        if _contiguous(seqs):
            return "reader_range", where
        return "reader_picked", where | {"seqs": list(seqs)}

    def _full(self, statement: str, **parameters: Any) -> list[Row]:
        return self._entries(statement, parameters, _FULL, with_content=True)

    def _entries(self, statement: str, parameters: Parameters, select_list: str, *, with_content: bool) -> list[Row]:
        condition, seen = conditions(Filter(), self._sight)
        text = sql(statement).replace("/*columns*/", select_list).replace("/*filter*/", condition)
        rows = self._rows(text, parameters | seen)
        texts = self._contents.of(map(_entry_key, rows)) if with_content and self._sight.texts else {}
        for row in rows:
            if not self._sight.texts:
                row |= {name: type(row[name])() for name in ("content", *_PAYLOAD) if name in row}
            found = texts.get((row["origin"], row["seq"])) or Texts()
            row["content_commitments"] = {name: value.hex() for name, value in row["content"].items()}
            row["content"], row["content_from"] = found.content, found.joined_from
        return rows

    def _filtered(self, statement: str, where: Filter, columns: str = "", **parameters: Any) -> list[Row]:
        condition, values = conditions(where, self._sight)
        text = sql(statement).replace("/*columns*/", columns).replace("/*filter*/", condition)
        return self._rows(text, values | parameters)

    def _seen(self, statement: str, **parameters: Any) -> list[Row]:
        """Rows of a statement that asks for no filter but what may be seen."""
        return self._filtered(statement, Filter(), **parameters)

    def _of_all(self, statement: str, **parameters: Any) -> list[Row]:
        """Rows of a statement about all of the record. Raises ConfigError for whoever sees a part of it only."""
        if self._sight.scope != Filter():
            raise ConfigError("this is about all of the record, and you see a part of it only")
        return self._rows(sql(statement), parameters)

    def _rows(self, statement: str, parameters: Parameters) -> list[Row]:
        with self._database.client() as client:
            result = client.query(statement, parameters=parameters)
        names = result.column_names
        return [dict(zip(names, values, strict=True)) for values in zip(*result.result_columns, strict=True)]


def _entry_key(row: Row) -> EntryKey:
    return EntryKey(
        row["origin"],
        row["seq"],
        row["event_type"],
        row["trace_id"],
        row["span_id"],
        commitments=row["content"],
        convention=row["convention"],
    )


def _contiguous(seqs: Sequence[int]) -> bool:
    return seqs[-1] - seqs[0] == len(seqs) - 1


def _slices(seqs: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut ascending ``seqs``: long slices where nothing is missing, shorter ones elsewhere."""
    start = 0
    while start < len(seqs):
        piece = seqs[start : start + _RANGE_ROWS]
        if not _contiguous(piece):
            piece = piece[:_PICKED_ROWS]
        yield piece
        start += len(piece)
