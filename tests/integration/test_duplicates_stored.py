"""AI calls that two instrumentations report, from the OTLP request to what readers count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from otel_audit.errors import StoreUnavailable
from otel_audit.ledger.note import Signer
from otel_audit.model import AuditEvent, Filter
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.intake import Intake
from otel_audit.receiver.losses import Losses
from otel_audit.receiver.sequencer import Receipt, Sequencer
from otel_audit.reports._tables import timeline_lines
from otel_audit.reports.narrate import verdict
from otel_audit.store.database import Database
from otel_audit.store.reader import Reader, Row
from otel_audit.store.writer import LedgerWriter
from tests.conformance.captures import DECODER, RECEIVED, requests
from tests.unit.test_duplicates import CHILD, INNER, OUTER, PARENT, call

ORIGIN = "example.com/duplicates"
SIGNER = Signer.generate(ORIGIN)


class FailsOnce(LedgerWriter):
    """The store takes the first group of entries, and the answer is lost."""

    failed = False

    def append_entries(self, block: bytes) -> None:
        super().append_entries(block)
        if not self.failed:
            self.failed = True
            raise StoreUnavailable("the answer was lost")


@contextmanager
def receiving(database: Database, writer: type[LedgerWriter] = LedgerWriter) -> Iterator[Sequencer]:
    ledger = writer(database, ORIGIN)
    sequencer = Sequencer(ledger, Checkpointer(ledger, SIGNER, []))
    sequencer.start()
    try:
        yield sequencer
    finally:
        sequencer.close()


def send(sequencer: Sequencer, *events: AuditEvent) -> list[Receipt]:
    for event in events:
        event.columns["event_id"] = f"span:{event.columns['trace_id']}/{event.columns['span_id']}"
        event.columns["task_id"] = "loan-1"
    return sequencer.submit(events).result(20)


def added_tokens(database: Database) -> int:
    """By the statement that docs/design/normalising.md gives."""
    page = (Path(__file__).parents[2] / "docs/design/normalising.md").read_text()
    with database.client() as client:
        return client.query(page.split("```sql\n")[1].split("```")[0]).result_rows[0][0]


def links(rows: Sequence[Row]) -> dict[str, str]:
    return {row["span_id"][:2]: row["duplicate_of"][:2] for row in rows if row["duplicate_of"]}


def test_captures_of_two_instrumentations_count_once(database: Database):
    """Four calls that two instrumentations told, sent as OTLP, are four calls to everybody who counts, and all kept."""
    reader = Reader(database)
    with receiving(database) as sequencer:
        intake = Intake(DECODER, sequencer, Losses(), clock=lambda: RECEIVED)
        for name, kind, body in requests("double-instrumented"):
            if name[0].isdecimal():
                assert (intake.traces if kind == "traces" else intake.logs)(body) == b""
    counts = reader.counts_by_type(Filter())
    assert (counts["ai_call"], counts["reported_again"]) == (4, 4)
    assert sum(counts.values()) == reader.count(Filter()).events
    calls = Filter(event_type=["ai_call"])
    assert reader.facet(calls, "model") == [("gpt-4o-mini", 4), ("gpt-4o-mini-2024-07-18", 4)]
    buckets = reader.histogram(calls, step_seconds=86_400)
    assert sorted((kind, number) for _, kind, number in buckets) == [("ai_call", 4), ("reported_again", 4)]
    assert added_tokens(database) == 4 * 57
    rows = [row for block in reader.stream(calls) for row in block]
    by_span = {row["span_id"]: row for row in rows}
    for row in rows:
        if row["duplicate_of"]:
            first = by_span[row["duplicate_of"]]
            assert not first["duplicate_of"]
            assert first["response_id"] == row["response_id"]
            assert first["scope_name"] != row["scope_name"]


def test_a_facet_keeps_values_that_only_a_second_report_has(database: Database):
    """A model name that only the second report has stays a value to filter by."""
    with receiving(database) as sequencer:
        send(sequencer, INNER)
        send(sequencer, call("01", "outer", response_id="r1", request_model="alias"))
    assert Reader(database).facet(Filter(), "model") == [("m", 1), ("alias", 0)]


def test_calls_are_linked_across_a_restart(database: Database):
    """A report that arrives after a restart is linked to the one from before it, by response id or by parent."""
    with receiving(database) as sequencer:
        send(sequencer, OUTER)
        send(sequencer, call("03", "framework", trace_id="b" * 32))
    with receiving(database) as sequencer:
        send(sequencer, INNER)
        send(sequencer, call("04", "client", parent="03", response_id="r9", trace_id="b" * 32))
    with receiving(database) as sequencer:
        send(sequencer, call("05", "third", response_id="r1"))
    assert links(Reader(database).task("loan-1")) == {"02": "01", "04": "03", "05": "01"}


def test_a_retried_request_changes_nothing(database: Database):
    """A request that comes again, whole or in part, gets the receipts of the first time and no new links."""
    with receiving(database) as sequencer:
        first = send(sequencer, OUTER, INNER)
        assert send(sequencer, OUTER, INNER) == first
        assert send(sequencer, INNER) == first[1:]
    with receiving(database) as sequencer:
        assert send(sequencer, OUTER) == first[:1]
    rows = Reader(database).task("loan-1")
    assert (len(rows), links(rows)) == (2, {"01": "02"})
    assert [row["remarks"] for row in rows] == [[], []]


def test_a_call_whose_answer_was_lost_is_linked_to(database: Database):
    """A call that reached the store although the insert failed is known, and its retry is no duplicate of it."""
    with receiving(database, FailsOnce) as sequencer:
        with pytest.raises(StoreUnavailable):
            send(sequencer, OUTER)
        send(sequencer, INNER)
        send(sequencer, OUTER)
    assert links(Reader(database).task("loan-1")) == {"02": "01"}


def test_reports_from_many_threads_count_once(database: Database):
    """Of two reports that arrive at the same time, on any threads, exactly one counts."""
    pairs = [
        [call(f"{number:02x}", scope, trace_id=f"{number:032x}", response_id=f"r{number}", span_id=f"{n}{number:015x}")]
        for number in range(1, 100)
        for n, scope in ((1, "outer"), (2, "inner"))
    ]
    with receiving(database) as sequencer, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda events: send(sequencer, *events), pairs))
    counts = Reader(database).counts_by_type(Filter())
    assert counts == {"ai_call": 99, "reported_again": 99}


def test_the_timeline_says_who_else_reported_a_call(database: Database):
    """A task's timeline has a call once, with the scopes that reported it again; --all shows every record."""
    with receiving(database) as sequencer:
        send(sequencer, CHILD, PARENT)
    rows = Reader(database).task("loan-1")
    lines = timeline_lines("loan-1", rows, everything=False, texts=False)
    assert sum("m answered" in line for line in lines) - sum("m answered" in line for line in [verdict(rows)]) == 1
    assert "    also reported by framework" in lines
    everything = timeline_lines("loan-1", rows, everything=True, texts=False)
    assert sum(" m answered" in line for line in everything) == 2
    assert verdict(rows).startswith("m answered, ")
