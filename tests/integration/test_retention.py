"""Retention on a real ledger in the embedded engine: what goes, what stays, what proves it, and what crashes leave.

The ledger has 600 old entries, of two classes by turns, and 300 of today.
"""

import json
import shutil
import time
from contextlib import closing

import pytest
from click.testing import CliRunner

from otel_audit.anchors import AnchorReading
from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import ConfigError, LedgerConflict
from otel_audit.ledger.note import Signer, VerifierKey
from otel_audit.ledger.statement import read_statement, sign_statement
from otel_audit.ledger.trust import Trust
from otel_audit.model import AuditEvent
from otel_audit.receiver import retention as steps
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.control_client import request_operation
from otel_audit.receiver.retention_commands import hold, retention
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.receiver.service import ReceiverSettings
from otel_audit.reports.verification import check_entries, verify_database
from otel_audit.store.database import Role, open_embedded
from otel_audit.store.folder import DataFolder
from otel_audit.store.retention import RetentionStore, holds_on
from otel_audit.store.writer import LedgerWriter

OLD = 1_704_067_200_000_000_000  # 2024-01-01
ORIGIN = "example.com/retention"


def event(number, retention_class):
    columns = {
        "event_type": "review",
        "event_id": f"e{number}",
        "task_id": f"t-{number}",
        "reviewer_id": f"u_{number % 7}",
        "retention_class": retention_class,
    }
    return AuditEvent(columns, {"input": f"question {number}"} if number % 3 == 0 else {})


def extend(folder, events, clock):
    with closing(open_embedded(folder, Role.WRITER)) as database:
        writer = LedgerWriter(database, ORIGIN)
        checkpointer = Checkpointer(writer, folder.signer(), [FileAnchor(folder.anchors)], interval_seconds=60)
        sequencer = Sequencer(writer, checkpointer, clock=clock)
        sequencer.start()
        for each in events:
            sequencer.submit(each).result(60)
        sequencer.close()


@pytest.fixture(scope="module")
def template(shared_engine, tmp_path_factory):
    shared_engine.closed()
    folder = DataFolder(tmp_path_factory.mktemp("retention") / "data")
    folder.create(ORIGIN)
    groups = [
        [event(first + each, "standard" if each % 2 else "hipaa") for each in range(60)] for first in range(0, 600, 60)
    ]
    extend(folder, groups, lambda: OLD)
    extend(folder, [[event(number, "standard") for number in range(600, 900)]], time.time_ns)
    FileAnchor(folder.anchors).remember_key(folder.signer().verifier_key)
    return folder


@pytest.fixture
def folder(template, shared_engine, tmp_path):
    """A data folder with the ledger of 900 entries, and its anchors."""
    shared_engine.closed()
    shutil.copytree(template.path.parent, tmp_path, symlinks=True, dirs_exist_ok=True)  # with anchors, texts and keys
    return DataFolder(tmp_path / "data")


def run(command, folder, *arguments, code=0):
    done = CliRunner().invoke(command, [*arguments, "--data", str(folder.path)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def verified(folder, **options):
    """The status, and the findings as (code, seq), the same however the hashes are computed."""
    trust = Trust().with_keys(VerifierKey.parse(text) for text in folder.verifier_keys())
    with closing(open_embedded(folder, Role.READER)) as database:
        given = {"trust": trust, "anchors": FileAnchor(folder.anchors).read_all(), "expected": [ORIGIN], **options}
        report = verify_database(database, **given)
        fast = verify_database(database, **given, mode="engine")
    assert [each.detail for each in fast.findings] == [each.detail for each in report.findings]
    return report.status, [(str(each.code), each.seq) for each in report.findings], report


def alter(folder, *statements):
    with closing(open_embedded(folder, Role.ADMIN)) as database, database.client() as client:
        for statement in statements:
            client.command(statement, settings={"mutations_sync": 2})


def test_a_dry_run_changes_nothing(folder):
    """Without --apply the command says what is due, and the ledger stays as it is."""
    told = json.loads(run(retention, folder, "--json"))
    states = {(each["retention_class"], each["month"]): each["state"] for each in told["partitions"]}
    assert states["standard", 202401] == "expired"
    assert states["hipaa", 202401] == "kept"
    assert told["removed"] == []
    assert [code for code, _ in verified(folder)[1]] == []


def test_what_expired_is_gone_and_explained(folder):
    """Expired entries and texts are gone, everything left verifies, and the report says which entry explains it."""
    out = run(retention, folder, "--apply")
    assert "removed 202401 standard: 300 entries" in out
    status, findings, report = verified(folder)
    assert (status, [code for code, _ in findings]) == ("ok", ["EXPIRED"])
    assert "300 entries of class standard" in report.findings[0].detail
    with closing(open_embedded(folder, Role.READER)) as database:
        store = RetentionStore(database, ORIGIN)
        assert all(own == 0 for own, _ in store.stored_in("standard", 202401).values())
        left = next(each for each in store.partitions() if each.retention_class == "hipaa")
        assert left.entry_count == 300
        assert check_entries(database, [(ORIGIN, left.first_seq), (ORIGIN, left.last_seq)]) == []
    for seq_from, seq_to in ((0, 20), (40, 100), (250, 270), (300, None)):
        status, findings, report = verified(folder, seq_from=seq_from, seq_to=seq_to)
        assert status == "ok", report.findings


def test_the_writer_goes_on_after_retention(folder):
    """A ledger whose old rows have expired takes new entries, expires again, and still verifies."""
    run(retention, folder, "--apply")
    extend(folder, [[event(number, "standard") for number in range(900, 1200)]], time.time_ns)
    out = run(retention, folder, "--apply", "--class", "hipaa=1y")
    assert "removed 202401 hipaa: 300 entries" in out
    status, findings, _ = verified(folder)
    assert (status, [code for code, _ in findings]) == ("ok", ["EXPIRED", "EXPIRED"])
    assert "removed" not in run(retention, folder, "--apply")


def test_a_crash_before_the_removal_is_told_and_mended(folder):
    """Stated but not removed is a finding; the next run removes it, and all is well."""
    keep = {"keep": {}, "apply": True}
    request_operation(ReceiverSettings(data=folder.path), "retention", keep)
    status, findings, report = verified(folder)
    assert (status, {code for code, _ in findings}) == ("tampered", {"FALSE_TOMBSTONE", "EXPIRED"})
    assert "retention --apply" in report.findings[0].detail
    assert "removed 202401 standard" in run(retention, folder, "--apply")
    assert verified(folder)[0] == "ok"


def test_a_crash_between_entries_and_texts_is_mended(folder, monkeypatch):
    """When only the entries could be removed the ledger verifies, and the next run removes their texts."""
    real = steps.RetentionStore.drop

    def dies(store, retention_class, month):
        both = store.stored_in
        monkeypatch.setattr(store, "stored_in", lambda *key: {"audit_entries": both(*key)["audit_entries"]})
        real(store, retention_class, month)
        raise KeyboardInterrupt

    monkeypatch.setattr(steps.RetentionStore, "drop", dies)
    CliRunner().invoke(retention, ["--apply", "--data", str(folder.path)])
    monkeypatch.undo()
    with closing(open_embedded(folder, Role.READER)) as database:
        stored = RetentionStore(database, ORIGIN).stored_in("standard", 202401)
    assert (stored["audit_entries"][0], stored["audit_content"][0]) == (0, 100)
    assert verified(folder)[0] == "ok"
    assert "removed 202401 standard" in run(retention, folder, "--apply")
    with closing(open_embedded(folder, Role.READER)) as database:
        assert RetentionStore(database, ORIGIN).stored_in("standard", 202401)["audit_content"][0] == 0


def test_a_hold_beats_retention(folder):
    """A month with an entry under hold stays, until the hold is ended."""
    run(hold, folder, "add", "--task", "t-1", "--reason", "claim 88")
    (held,) = json.loads(run(hold, folder, "list", "--json"))
    assert (held["task_id"], held["entries"]) == ("t-1", 1)
    with closing(open_embedded(folder, Role.READER)) as database:
        (seq,) = database_seqs(database, "t-1")
        assert [each.hold_id for each in holds_on(database, ORIGIN, [seq])] == [held["hold_id"]]
        assert holds_on(database, ORIGIN, [seq + 1]) == []
    assert f"held by hold {held['hold_id']}" in run(retention, folder, "--apply")
    assert verified(folder)[:2] == ("ok", [])
    run(hold, folder, "remove", held["hold_id"], "--reason", "settled")
    assert "removed 202401 standard" in run(retention, folder, "--apply")


def database_seqs(database, task):
    with database.client() as client:
        return [seq for (seq,) in client.query(f"SELECT seq FROM audit_entries WHERE task_id = '{task}'").result_rows]


_WIDEN = """UPDATE attributes = mapFromArrays(mapKeys(attributes),
    arrayMap(v -> replaceOne(v, '[[', '[ ['), mapValues(attributes)))
    WHERE event_type = 'retention'"""


@pytest.mark.parametrize(
    ("what", "codes"),
    [
        ("DELETE WHERE retention_class = 'hipaa'", {"ROW_DELETED", "PREFIX_REMOVED"}),
        ("DELETE WHERE seq = 3", {"ROW_DELETED", "PREFIX_REMOVED"}),
        ("DELETE WHERE event_type = 'retention'", {"ROW_DELETED", "PREFIX_REMOVED"}),
        ("UPDATE task_id = 'other' WHERE retention_class = 'hipaa' AND task_id = 't-300'", {"ROW_MODIFIED"}),
        (_WIDEN, {"BAD_SIGNATURE"}),
    ],
)
def test_nothing_else_may_go_with_it(folder, what, codes):
    """Behind a retention nothing else can be hidden: other rows, the statement, a changed column, a changed range."""
    run(retention, folder, "--apply")
    alter(folder, f"ALTER TABLE audit_entries {what}")
    status, findings, _ = verified(folder)
    assert status == "tampered"
    assert codes & {code for code, _ in findings}


def test_without_a_statement_removed_rows_are_missing(folder):
    """A partition that somebody dropped is no retention, and the writer refuses to go on."""
    alter(folder, "ALTER TABLE audit_entries DROP PARTITION ('standard', 202401)")
    status, findings, _ = verified(folder)
    assert status == "tampered"
    assert {code for code, _ in findings} >= {"ROW_DELETED"}
    with pytest.raises(LedgerConflict):
        extend(folder, [], time.time_ns)


def test_what_was_tampered_with_is_never_removed(folder):
    """A due month with a changed row is not proven: it stays, and the command says so with exit code 1."""
    alter(folder, "ALTER TABLE audit_entries UPDATE decision = 'approved' WHERE task_id = 't-31'")
    out = run(retention, folder, "--apply", code=1)
    assert "not proven" in out
    assert "removed" not in out


def test_what_no_anchor_has_is_not_removed(folder, monkeypatch):
    """Entries that are not anchored are not removed, whatever their age."""
    monkeypatch.setattr(steps.FileAnchor, "read", lambda anchor, origin: AnchorReading((), ()))
    assert "not proven entry" in run(retention, folder, "--apply", code=1)


def test_a_statement_of_another_key_explains_nothing(folder):
    """Who does not hold the ledger's key can not explain rows away."""
    run(retention, folder, "--apply")
    with closing(open_embedded(folder, Role.ADMIN)) as database:
        store = RetentionStore(database, ORIGIN)
        ((seq, note),) = store.statements()
        forged = sign_statement("retention", read_statement(note, "retention").fields, [Signer.generate(ORIGIN)])
        with database.client() as client:
            client.command(
                "ALTER TABLE audit_entries UPDATE attributes = map('audit.retention.statement', {note:String}) "
                "WHERE seq = {seq:UInt64}",
                parameters={"note": forged, "seq": seq},
                settings={"mutations_sync": 2},
            )
    codes = {code for code, _ in verified(folder)[1]}
    assert {"UNKNOWN_KEY", "ROW_DELETED", "ROW_MODIFIED"} <= codes


def test_a_wrong_period_or_class_is_an_error():
    """A period that is none, and a class that there is not, are refused by name."""
    for text in ("standard", "standard=0d", "standard=1w"):
        done = CliRunner().invoke(retention, ["--class", text])
        assert isinstance(done.exception, ConfigError)
        assert text in str(done.exception)
