"""Property: whatever happens to a ledger in whatever order, it verifies, and nothing that was acknowledged is missing.

A real receiver over the real engine takes events, loses its store's answers, dies at any durable step, rotates its key,
erases, holds, lets months expire, and starts again; its clock moves on and is set back. A model beside it knows what
must be there. Whoever verifies holds the first key alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import AuditError, ConfigError, StoreUnavailable
from otel_audit.ledger.findings import STATUS_CODES
from otel_audit.ledger.note import VerifierKey
from otel_audit.ledger.trust import Trust
from otel_audit.model import AuditEvent
from otel_audit.receiver import service
from otel_audit.receiver.erasure import ErasureRequest
from otel_audit.receiver.operations import OPERATIONS
from otel_audit.receiver.retention import remove_stated
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.receiver.service import Receiver, ReceiverSettings
from otel_audit.reports.verification import verify_database
from otel_audit.store.database import Role, open_embedded
from otel_audit.store.writer import LedgerWriter

HOUR, DAY = 3600 * 10**9, 86_400 * 10**9
MONTH = 40 * DAY
START = 1_704_100_000 * 10**9  # the first days of 2024: months of then are over
SUBJECTS, TASKS = ("", "case-a", "case-b"), ("", "t1", "t2")
DURABLE = ("append_sealed", "append_content", "append_entries", "append_tiles", "append_checkpoint")
WAYS = ("not persisted", "persisted but errored", "killed before", "killed after")


class Killed(BaseException):
    """The process is gone: nothing of ours handles this."""


@dataclass
class Faults:
    """The next durable step of this name goes wrong, once."""

    step: str = ""
    way: str = ""

    def around(self, step: str, persist) -> None:
        if step != self.step:
            return persist()
        self.step, way = "", self.way
        if way in {"persisted but errored", "killed after"}:
            persist()
        raise Killed if way.startswith("killed") else StoreUnavailable(f"{step}: {way}")


class FaultyWriter(LedgerWriter):
    """The real writer, whose steps go wrong as ``faults`` says."""

    faults: Faults

    def _insert(self, table, block, settings=None):
        names = {"audit_entries": "append_entries", "audit_content": "append_content", "audit_sealed": "append_sealed"}
        names |= {"audit_tiles": "append_tiles", "audit_checkpoints": "append_checkpoint"}
        real = partial(super()._insert, table, block, settings)
        self.faults.around(names.get(table, table), real)


@dataclass
class Sent:
    """One acknowledged event: its text while that must be there ("" when it has none), and whose it is."""

    event_id: str
    text: str
    subject: str
    task: str
    month: int


@dataclass
class World:
    """The ledger under test and what must be true of it."""

    data: object
    faults: Faults
    now: int = START
    receiver: Receiver | None = None
    first_key: VerifierKey | None = None
    sent: dict[int, Sent] = field(default_factory=dict)
    erased: set[int] = field(default_factory=set)
    expired: set[int] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)  # hold id -> task
    number: int = 0
    done: list[str] = field(default_factory=list)

    def clock(self) -> int:
        self.now += 1
        return self.now

    @property
    def ledger(self):
        return self.receiver.ledger

    def start(self):
        self.receiver = Receiver(ReceiverSettings(self.data, capture_policy="full"))
        self.receiver.start(serve=False)
        self.ledger.eraser._clock = self.clock
        self.first_key = self.first_key or self.receiver.folder.signer().verifier_key

    def kill(self):
        """What kill -9 leaves: what is not durable yet is gone, and nobody is told anything any more."""
        self.ledger.sequencer._thread.join(60)
        self.ledger.sequencer._stopped_by = StoreUnavailable("killed")
        self.receiver.stop()
        self.faults.step = ""

    def restart(self):
        self.receiver.stop()
        self.start()

    # --- what happens ---

    def append(self, subject, task, count, fault=("", "")):
        """The producer keeps its events until they are acknowledged."""
        events = []
        for number in range(self.number, self.number + count):
            columns = {"event_type": "span", "event_id": f"e{number}", "event_time": 10**18, "end_time": 10**18}
            columns |= {"record_kind": "span", "subject_ref": subject, "task_id": task}
            events.append(AuditEvent(columns, {"input": f"text {number}"} if number < self.number + 2 else {}))
        first, self.number = self.number, self.number + count
        self.faults.step, self.faults.way = fault
        for _ in range(3):
            if (receipts := self.submitted(events)) is not None:
                break
        else:
            raise AssertionError("the store takes events, but they are refused")
        for number, receipt in enumerate(receipts, first):
            text = f"text {number}" if number < first + 2 else ""
            self.sent[receipt.seq] = Sent(f"e{number}", text, subject, task, self.month_of(receipt.seq))
        self.ledger.sequencer.perform(lambda: None).result(60)
        if self.faults.step in {"append_tiles", "append_checkpoint"}:
            self.sealed()
        self.faults.step = ""

    def submitted(self, events):
        """The receipts, or None when the producer has to send again."""
        future = self.ledger.sequencer.submit(events)
        while not future.done():
            if not self.ledger.sequencer._thread.is_alive():
                self.kill()
                self.start()
                return None
            time.sleep(0.001)
        try:
            return future.result()
        except StoreUnavailable:
            return None

    def sealed(self):
        """A checkpoint now; if that is what goes wrong the next one makes up for it."""
        future = self.ledger.sequencer.perform(self.ledger.checkpointer.seal)
        while not future.done():
            if not self.ledger.sequencer._thread.is_alive():
                self.kill()
                self.start()
                return
            time.sleep(0.001)
        if not isinstance(future.exception(), AuditError | None):
            raise future.exception()

    def rotate(self, step, way):
        self.sealed()
        self.faults.step, self.faults.way = step, way
        for _ in range(3):
            try:
                OPERATIONS["rotate-key"](self.ledger, {})
            except AuditError:
                continue
            break
        self.faults.step = ""

    def erase(self, scope, which, crash_at):
        who = (SUBJECTS if scope == "subject" else TASKS)[which]
        gone = self.texts_of(scope, who)
        request = ErasureRequest("GDPR Art. 17", "dpo_1", "legal_4", **{scope: who})
        eraser = self.ledger.eraser
        assert set(eraser.plan(request).seqs) == gone
        if not gone or any(self.sent[seq].task in self.held.values() for seq in gone):
            with pytest.raises(ConfigError):
                eraser.erase(request)
            return

        def step(number):
            if number == crash_at:
                raise StoreUnavailable("ends here")

        eraser._step = step
        try:
            eraser.erase(request)
        except StoreUnavailable:
            self.restart()
        self.ledger.eraser._step = lambda _: None
        if crash_at != 1:
            self.erased |= gone

    def texts_of(self, scope, who):
        there = {seq: each for seq, each in self.sent.items() if each.text and seq not in self.erased | self.expired}
        if scope == "task":
            return {seq for seq, each in there.items() if each.task == who}
        tasks = {each.task for seq, each in self.sent.items() if each.subject == who and each.task}
        tasks -= {""}
        return {
            seq
            for seq, each in there.items()
            if each.subject == who or (not each.subject and each.task in tasks and self.known(who, each.task))
        }

    def known(self, who, task):
        """Whether an entry that is still there says that the task belongs to the subject."""
        return any(
            each.subject == who and each.task == task for seq, each in self.sent.items() if seq not in self.expired
        )

    def hold(self, task):
        told = OPERATIONS["hold_add"](self.ledger, {"task": task, "reason": "claim 88"})
        self.held[told["hold_id"]] = task

    def end_hold(self):
        if self.held:
            hold_id, _ = self.held.popitem()
            OPERATIONS["hold_remove"](self.ledger, {"hold_id": hold_id})

    def retain(self, is_killed):
        """Months whose retention is over go, in the two steps that it takes; between them the process may die."""
        told = OPERATIONS["retention"](self.ledger, {"keep": {"standard": 86_400}, "apply": True})
        stated = {each["month"] for each in told["partitions"] if each["state"] == "stated"}
        if is_killed:
            self.restart()
        keys = [VerifierKey.parse(text) for text in self.receiver.folder.verifier_keys()]
        origin = self.ledger.writer.origin
        self.receiver.stop()
        with closing(open_embedded(self.receiver.folder, Role.ADMIN)) as database:
            removed = remove_stated(database, origin, keys)
        assert {month for _, month, _ in removed} == stated
        going = {seq for seq, each in self.sent.items() if each.month in stated} - self.expired
        assert not {self.sent[seq].task for seq in going} & set(self.held.values()), "under hold"
        self.expired |= going
        self.start()

    # --- what must be true ---

    def month_of(self, seq):
        with self.ledger.database.client() as client:
            asked = "SELECT toYYYYMM(recorded_at) FROM audit_entries WHERE seq = {seq:UInt64}"
            return client.query(asked, parameters={"seq": seq}).result_rows[0][0]

    def check(self):
        self.ledger.sequencer.perform(self.ledger.checkpointer.seal).result(60)
        with self.ledger.database.client() as client:
            rows = client.query("SELECT seq, event_id FROM audit_entries WHERE event_id LIKE 'e%'").result_rows
            texts = set(client.query("SELECT seq, value FROM audit_content WHERE name = 'input'").result_rows)
        there = {seq: each for seq, each in self.sent.items() if seq not in self.expired}
        assert sorted(rows) == sorted((seq, each.event_id) for seq, each in there.items()), self.done
        wanted = {(seq, each.text) for seq, each in there.items() if each.text and seq not in self.erased}
        assert wanted <= texts, self.done  # and perhaps what failed inserts left at the same seqs
        report = verify_database(
            self.ledger.database,
            trust=Trust((self.first_key,)),
            anchors=FileAnchor(self.receiver.anchor_dir).read_all(),
        )
        altered = [each for each in report.findings if each.code not in STATUS_CODES]
        assert not altered, f"{altered} {self.done}"
        assert report.status == "ok"
        assert {str(each.code) for each in report.findings} <= {"ERASED", "EXPIRED"}
        assert {each.seq for each in report.findings if each.code == "ERASED"} == self.erased - self.expired, self.done


FAULTS = [(step, way) for step in DURABLE for way in WAYS]
MENU = [  # every order of these; each append meets another fault, or none
    ("append", "case-a", "t1", 140),
    ("rotate", "append_entries", "persisted but errored"),
    ("retain", False),
    ("append", "", "t1", 3),
    ("clock", MONTH),
    ("hold", "t1"),
    ("erase", "subject", 1, 0),
    ("append", "case-b", "t2", 140),
    ("erase", "task", 2, 3),
    ("end_hold",),
    ("rotate", "append_checkpoint", "not persisted"),
    ("clock", -HOUR),
    ("append", "case-b", "", 1),
    ("retain", True),
    ("erase", "subject", 2, 5),
    ("append", "case-a", "t2", 3),
    ("erase", "task", 1, 1),
    ("restart",),
]


@contextmanager
def world(data, monkeypatch) -> Iterator[World]:
    made = World(data, Faults())
    with monkeypatch.context() as patch:
        patch.setattr(FaultyWriter, "faults", made.faults, raising=False)
        patch.setattr(service, "LedgerWriter", FaultyWriter)
        patch.setattr(service, "Sequencer", partial(Sequencer, clock=made.clock))
        made.start()
        try:
            yield made
        finally:
            made.receiver.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the killed writer's
@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.permutations(MENU), faults=st.permutations(FAULTS))
def test_any_sequence_verifies(tmp_path_factory, shared_engine, monkeypatch, steps, faults):
    """Appends, faults, crashes, rotations, erasures, holds, retentions, restarts: verified, and nothing is missing."""
    shared_engine.closed()
    with world(tmp_path_factory.mktemp("sequence") / "data", monkeypatch) as made:
        made.append("case-a", "t1", 140)
        made.now += MONTH
        made.append("", "t2", 140, faults[0])  # a full tile: the first month can expire from here on
        for (name, *arguments), fault in zip(steps, faults[1:], strict=False):
            made.done.append(f"{name} {arguments} {fault}")
            if name == "clock":
                made.now += arguments[0]
            elif name == "append":
                made.append(*arguments, fault)
            else:
                getattr(made, name)(*arguments)
        made.check()
