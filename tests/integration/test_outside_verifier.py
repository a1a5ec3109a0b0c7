"""Whoever owns the machine owns the data folder, its keys and its anchor folder: what somebody outside still sees.

The outsider has the verifier key and one checkpoint, and nothing else.
"""

import json
import shutil

import deps
import pytest
import settings
from click.testing import CliRunner

from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import ConfigError
from otel_audit.ledger.digest import Digest, Tip, sign_digest
from otel_audit.ledger.note import Signer
from otel_audit.reports.verify_command import verify
from otel_audit.store.database import Role, open_embedded
from otel_audit.store.folder import DataFolder
from tests.integration.test_verify_incremental import ORIGIN, extend


@pytest.fixture(scope="module")
def outside(shared_engine, tmp_path_factory):
    """A machine with a ledger of 300 entries, and of 300 more a backup before: (machine, backup, verifier's files)."""
    shared_engine.closed()
    home = tmp_path_factory.mktemp("outside")
    folder = DataFolder(home / "machine" / "data")
    folder.path.parent.mkdir()
    folder.create(ORIGIN)
    FileAnchor(folder.anchors).remember_key(folder.signer().verifier_key)
    extend(folder, 0, 300)
    shutil.copytree(home / "machine", home / "backup", symlinks=True)
    extend(folder, 300, 600)
    kept = home / "kept"
    kept.mkdir()
    (kept / "trust.json").write_text(folder.signer().verifier_key.format())
    newest = FileAnchor(folder.anchors).read(ORIGIN).checkpoints[-1].note
    (kept / "checkpoint").write_text(newest)
    (kept / "checkpoint.json").write_text(json.dumps({"size": 600, "note": newest}, indent=2))
    return home


@pytest.fixture
def machine(outside, shared_engine, tmp_path):
    shared_engine.closed()
    shutil.copytree(outside / "machine", tmp_path / "machine", symlinks=True)
    return DataFolder(tmp_path / "machine" / "data")


def run(folder, *options, code=0):
    done = CliRunner().invoke(verify, ["--data", str(folder.path), "--json", *options])
    assert done.exit_code == code, (done.output, done.exception)
    return {each["code"] for each in json.loads(done.output)["findings"]}


def held(outside, name="checkpoint"):
    return ("--trust", str(outside / "kept" / "trust.json"), "--checkpoint", str(outside / "kept" / name))


@pytest.mark.parametrize("name", ["checkpoint", "checkpoint.json"])
def test_what_the_outsider_holds_fits_an_honest_ledger(outside, machine, name):
    """A ledger that goes on after the kept checkpoint continues it; without any anchor it counts as one."""
    extend(machine, 600, 610)
    assert run(machine, *held(outside, name)) == set()
    assert run(machine, "--no-anchors", *held(outside, name)) == {"UNANCHORED_TAIL"}


def test_everything_put_back_together(outside, machine):
    """Data, keys and anchors of an older state are right in themselves; the kept checkpoint says what is gone."""
    shutil.rmtree(machine.path.parent)
    shutil.copytree(outside / "backup", machine.path.parent, symlinks=True)
    assert run(machine) == set()
    assert {"ROLLBACK", "TAIL_TRUNCATED"} <= run(machine, *held(outside), code=1)


def test_everything_written_anew_with_the_real_key(outside, machine):
    """Entries, tiles, checkpoints and anchors forged by the holder of the key: not what the kept checkpoint saw."""
    key = (machine.keys / "signing.key").read_text()
    for each in (machine.path, machine.anchors, machine.texts, machine.data_keys):
        shutil.rmtree(each, ignore_errors=True)
    machine.create(ORIGIN)
    machine.write_private(machine.keys / "signing.key", key)
    FileAnchor(machine.anchors).remember_key(machine.signer().verifier_key)
    extend(machine, 1000, 1650)
    assert run(machine) == set()
    assert "CHAIN_REBUILT" in run(machine, *held(outside), code=1)


def test_the_ledger_is_another_one(outside, machine):
    """A new ledger under a new name, with a new key, in the place of the old one: the old one is missed."""
    for each in (machine.path, machine.anchors, machine.texts, machine.data_keys):
        shutil.rmtree(each, ignore_errors=True)
    machine.create("example.com/fresh-start")
    open_embedded(machine, Role.WRITER).close()
    assert "LEDGER_MISSING" in run(machine, *held(outside), code=1)


def test_what_is_no_checkpoint_is_refused(outside, machine, tmp_path):
    """A file without a signed checkpoint is never taken for "nothing to compare"; nor is it ignored beside a bundle."""
    for text in ("", "{}", "[1]", '{"note": "x"}', "hello"):
        (tmp_path / "kept").write_text(text)
        done = CliRunner().invoke(verify, ["--data", str(machine.path), "--checkpoint", str(tmp_path / "kept")])
        assert isinstance(done.exception, ConfigError), text
    done = CliRunner().invoke(verify, [str(tmp_path / "kept"), "--checkpoint", str(tmp_path / "kept")])
    assert "in place of a bundle" in str(done.exception)


def test_the_integrity_page_compares_all_that_verify_does(machine, monkeypatch):
    """The page's check reads digests and what else lies in the anchor folder: a forged one is named by both."""
    note = FileAnchor(machine.anchors).read(ORIGIN).checkpoints[-1].note
    digest = Digest(ORIGIN, 1, "", "2026-11-25T00:00:00Z", (Tip(note, 600),))
    place = FileAnchor(machine.anchors).folder_of(ORIGIN) / "digests"
    place.mkdir()
    (place / "00000001-2026-11-25.note").write_text(sign_digest(digest, [Signer(ORIGIN, b"x" * 32)]))
    assert run(machine, code=1) == {"UNKNOWN_KEY"}
    monkeypatch.setattr(settings, "_given", settings.Settings(data=machine.path))
    try:
        assert {str(each.code) for each in deps.verify(lambda done, total: None).findings} == {"UNKNOWN_KEY"}
    finally:
        deps.configure(settings.Settings())
