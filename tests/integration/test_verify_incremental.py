"""Verification that goes on from what the verifier remembers, and verification again and again."""

import json
import shutil
import time
from contextlib import closing

import pytest
from click.testing import CliRunner

from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import ConfigError, StoreUnavailable
from otel_audit.model import AuditEvent
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.reports.verification import Report
from otel_audit.reports.verify_command import verify
from otel_audit.reports.watch import watch_ledgers
from otel_audit.store.database import Role, open_embedded
from otel_audit.store.folder import DataFolder
from otel_audit.store.writer import LedgerWriter

ORIGIN = "example.com/incremental"


def extend(folder, first, end):
    with closing(open_embedded(folder, Role.WRITER)) as database:
        checkpointer = Checkpointer(LedgerWriter(database, ORIGIN), folder.signer(), [FileAnchor(folder.anchors)])
        sequencer = Sequencer(LedgerWriter(database, ORIGIN), checkpointer, clock=time.time_ns)
        sequencer.start()
        events = [
            AuditEvent({"event_type": "span", "event_id": f"e{n}"}, {"input": f"q {n}"}) for n in range(first, end)
        ]
        sequencer.submit(events).result(60)
        sequencer.close()


@pytest.fixture(scope="module")
def template(shared_engine, tmp_path_factory):
    shared_engine.closed()
    folder = DataFolder(tmp_path_factory.mktemp("incremental") / "data")
    folder.create(ORIGIN)
    extend(folder, 0, 700)
    return folder


@pytest.fixture
def folder(template, shared_engine, tmp_path):
    shared_engine.closed()
    shutil.copytree(template.path.parent, tmp_path, symlinks=True, dirs_exist_ok=True)  # with anchors, texts and keys
    return DataFolder(tmp_path / "data")


def run(folder, *options, code=0):
    state = folder.path.parent / "verifier" / "state.json"
    arguments = ["--data", str(folder.path), "--incremental", "--state", str(state), "--json", *options]
    done = CliRunner().invoke(verify, arguments)
    assert done.exit_code == code, (done.output, done.exception)
    report = json.loads(done.output)
    return report, {each["code"] for each in report["findings"]}


def alter(folder, *statements):
    with closing(open_embedded(folder, Role.ADMIN)) as database, database.client() as client:
        for statement in statements:
            client.command(statement, settings={"mutations_sync": 2})


@pytest.mark.parametrize("more", [0, 1, 68, 400])
def test_only_what_is_new_is_read(folder, more):
    """The second run begins at the tile of the last verified entry, and ends with the same root as a full run."""
    assert run(folder)[0]["ledgers"][0]["read_from"] == 0
    if more:
        extend(folder, 700, 700 + more)
    again, codes = run(folder)
    assert (again["ledgers"][0]["read_from"], codes) == (512, set())
    state = folder.path.parent / "verifier" / "state.json"
    full = json.loads(CliRunner().invoke(verify, ["--data", str(folder.path), "--json", "--state", str(state)]).output)
    assert full["ledgers"][0] == {**again["ledgers"][0], "read_from": 0}
    assert run(folder)[0]["ledgers"][0]["read_from"] == (700 + more - 1) // 256 * 256


def test_what_is_new_and_altered_is_found(folder):
    """A changed new entry and a changed new text are found; entries read before are not read again."""
    run(folder)
    extend(folder, 700, 800)
    alter(folder, "ALTER TABLE audit_entries UPDATE name = 'x' WHERE seq = 750")
    assert "ROW_MODIFIED" in run(folder, code=1)[1]


def test_a_ledger_put_back_is_found(folder, template):
    """A store that is older than what the verifier saw is a ROLLBACK, also without any anchor."""
    old = folder.path.with_name("old")
    shutil.copytree(folder.path, old, symlinks=True)
    extend(folder, 700, 900)
    run(folder, "--no-anchors")
    shutil.rmtree(folder.path)
    old.rename(folder.path)
    assert {"ROLLBACK", "TAIL_TRUNCATED"} <= run(folder, "--no-anchors", code=1)[1]


def test_a_rebuilt_history_is_found(folder, template, shared_engine, tmp_path):
    """A ledger written anew with the same key, all of it consistent, is not what the verifier saw."""
    run(folder)
    key = (folder.keys / "signing.key").read_text()
    shutil.rmtree(folder.path)
    shutil.rmtree(folder.anchors)
    folder.create(ORIGIN)
    folder.write_private(folder.keys / "signing.key", key)
    extend(folder, 1000, 1800)
    assert "CHAIN_REBUILT" in run(folder, code=1)[1]


def test_a_removed_ledger_is_found(folder):
    """A ledger of which nothing is left is missed, because the verifier remembers it."""
    run(folder, "--no-anchors")
    alter(folder, *(f"TRUNCATE TABLE {table}" for table in ("audit_entries", "audit_tiles", "audit_checkpoints")))
    assert "LEDGER_EMPTIED" in run(folder, "--no-anchors", code=1)[1]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace('\\"size\\":700', '\\"size\\":600'), "BAD_SIGNATURE"),
        (lambda text: text.replace(ORIGIN + '": "otel', 'other/ledger": "otel'), "WRONG_ORIGIN"),
        (lambda text: text[:40], "BAD_SIGNATURE"),
    ],
)
def test_a_state_that_is_not_ours_is_not_believed(folder, change, code):
    """A forged, misfiled or damaged state is a finding, and everything is read."""
    run(folder)
    state = folder.path.parent / "verifier" / "state.json"
    changed = change(state.read_text())
    assert changed != state.read_text()
    state.write_text(changed)
    report, codes = run(folder, code=1)
    assert codes == {code}
    assert report["ledgers"][0]["read_from"] == 0


def test_the_state_never_lies_in_the_data_folder(folder):
    """Whoever can alter the ledger must not get at what the verifier remembers."""
    done = CliRunner().invoke(verify, ["--data", str(folder.path), "--state", str(folder.path / "state.json")])
    assert isinstance(done.exception, ConfigError)


def test_watching_ends_at_the_first_alarm():
    """A line a round; a store that does not answer is told and tried again; an alarm ends it unless told otherwise."""
    ok, bad = (Report(status, (), (), anchors_compared=True) for status in ("ok", "tampered"))
    for is_kept_going, expected in ((False, [True, False, False]), (True, [True, False, False, True])):
        results, firsts, told = iter([ok, StoreUnavailable("down"), bad, ok]), [], []

        def check(*, is_first, results=results, firsts=firsts):
            firsts.append(is_first)
            result = next(results)
            if isinstance(result, Exception):
                raise result
            return result

        pauses = []
        watch_ledgers(
            check, every=7, is_kept_going=is_kept_going, tell=told.append, sleep=pauses.append, rounds=iter(range(4))
        )
        assert firsts == expected
        assert pauses == [7] * (len(expected) - 1)
        assert any("NOT CHECKED down" in line for line in told)
        assert any(line.startswith("TAMPERED") for line in told)
