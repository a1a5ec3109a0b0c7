from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from otel_audit.errors import ConfigError
from otel_audit.ledger.note import VerifierKey
from otel_audit.store.folder import DataFolder, RunInfo

RUN = RunInfo(pid=4711, front_port=1, token="secret", grpc_port=2, http_port=3, dashboard_port=4)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_of_ours_is_private(tmp_path: Path) -> None:
    """Directories are 0700 and files 0600, whatever the umask says."""
    before = os.umask(0)
    try:
        folder = DataFolder(tmp_path / "data")
        folder.create()
        folder.signer()
        folder.write_run(RUN)
    finally:
        os.umask(before)
    paths = [folder.path, folder.home, *folder.home.rglob("*")]
    assert {mode(path) for path in paths if path.is_dir()} == {0o700}
    assert {mode(path) for path in paths if path.is_file()} == {0o600}


def test_create_begins_a_ledger_once(tmp_path: Path) -> None:
    """A second create finds the ledger that is there."""
    first = DataFolder(tmp_path / "data").create()
    assert DataFolder(tmp_path / "data").create() == first
    assert first.origin.startswith("otel-audit/")
    assert len(first.origin) == len("otel-audit/") + 12


def test_create_with_another_origin_is_refused(tmp_path: Path) -> None:
    """A folder never changes its ledger's name."""
    folder = DataFolder(tmp_path / "data")
    assert folder.create("example.com/a").origin == "example.com/a"
    with pytest.raises(ConfigError, match=r"holds the ledger 'example\.com/a'"):
        folder.create("example.com/b")


@pytest.mark.parametrize("origin", ["", "with space", "with+plus", "line\nbreak", "nul\0"])
def test_origin_that_no_key_can_have_is_refused(tmp_path: Path, origin: str) -> None:
    """An origin is also the name of the signing key, which forbids spaces and plus."""
    with pytest.raises(ConfigError, match="origin"):
        DataFolder(tmp_path / "data").create(origin)
    assert not (tmp_path / "data").exists()


def test_key_is_made_once_and_its_public_half_told(tmp_path: Path) -> None:
    """The signing key stays the same, has the origin as name, and its verifier key is listed."""
    folder = DataFolder(tmp_path / "data")
    folder.create("example.com/a")
    assert folder.verifier_keys() == []
    signer = folder.signer()
    assert DataFolder(tmp_path / "data").signer() == signer
    assert [VerifierKey.parse(text) for text in folder.verifier_keys()] == [signer.verifier_key]
    assert signer.name == "example.com/a"


def test_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """A secret that leaked through its mode is not used in silence."""
    folder = DataFolder(tmp_path / "data")
    folder.create()
    folder.signer()
    (folder.keys / "signing.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        folder.signer()


def test_public_key_lost_in_a_crash_is_written_again(tmp_path: Path) -> None:
    """A crash between key and public key is mended at the next use."""
    folder = DataFolder(tmp_path / "data")
    folder.create()
    key = folder.signer()
    next(folder.keys.glob("*.pub")).unlink()
    folder.signer()
    assert folder.verifier_keys() == [key.verifier_key.format()]


def test_run_info_round_trip(tmp_path: Path) -> None:
    """What a running process tells is read back until it is cleared."""
    folder = DataFolder(tmp_path / "data")
    folder.create()
    assert folder.read_run() is None
    folder.write_run(RUN)
    assert folder.read_run() == RUN
    folder.clear_run()
    folder.clear_run()
    assert folder.read_run() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x"}', json.dumps({"pid": 1, "token": "t"}), "null"])
def test_damaged_run_file_is_told(tmp_path: Path, text: str) -> None:
    """A run file with other fields or types than ours is an error that names the file."""
    folder = DataFolder(tmp_path / "data")
    folder.create()
    folder.write_private(folder.run_file, text)
    with pytest.raises(ConfigError, match=r"run\.json: is damaged"):
        folder.read_run()


def test_folder_without_a_ledger(tmp_path: Path) -> None:
    """Asking an empty folder for its ledger says how to begin one."""
    with pytest.raises(ConfigError, match="otel-audit up --data"):
        DataFolder(tmp_path).identity()


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_path_that_is_a_file(tmp_path: Path, inside: str) -> None:
    """A file given as --data is named as such."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="not a folder"):
        DataFolder(tmp_path / "file" / inside).create()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_of_somebody_else(tmp_path: Path) -> None:
    """A folder that this user may not write is explained, with owner and advice."""
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match=r"may not create .*owner"):
        DataFolder(tmp_path / "data").create()


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails before its end (disk full) changes nothing and leaves nothing behind."""
    folder = DataFolder(tmp_path / "data")
    folder.create()
    folder.write_run(RUN)
    files = sorted(folder.home.rglob("*"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        folder.write_run(RunInfo(1, 1, "other", 1, 1, 1))
    monkeypatch.undo()
    assert folder.read_run() == RUN
    assert sorted(folder.home.rglob("*")) == files


def test_anchors_lie_beside_the_folder() -> None:
    """The default anchors do not share the folder's fate."""
    assert DataFolder("some/data").anchors == Path("some/data-anchors")
    assert DataFolder(".").anchors == Path.cwd().with_name(Path.cwd().name + "-anchors")
