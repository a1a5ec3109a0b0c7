"""What the doctor sees of a spool: real files, made by the spool itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otel_audit.doctor import spool as doctor_spool
from otel_audit.doctor.findings import Finding
from otel_audit.doctor.settings import settings_of
from otel_audit.instrumentation.delivery.segment import Item
from otel_audit.instrumentation.delivery.settings import Settings, read_settings
from otel_audit.instrumentation.delivery.spool import Spool

ITEM = Item(b"S", b"x" * 1000)


def settings(folder: Path, mib: int = 1) -> Settings:
    env = {"OTEL_AUDIT_SPOOL_DIR": str(folder), "OTEL_AUDIT_SPOOL_MAX_MIB": str(mib)}
    return read_settings(None, standard=False, environment=env)


def examined(folder: Path, mib: int = 1) -> dict[str, Finding]:
    return {each.name: each for each in doctor_spool.examine(settings(folder, mib)) if each.name}


def age(folder: Path, seconds: float = 7200) -> None:
    for path in folder.rglob("*"):
        stat = path.stat()
        os.utime(path, (stat.st_atime, stat.st_mtime - seconds))


def left_behind(folder: Path, records: int) -> Path:
    """The spool of a process that ended with records in it."""
    spool = Spool(folder / "abc", max_bytes=64 << 20)
    for _ in range(records):
        spool.put(ITEM)
    spool.close()
    return folder


def test_an_empty_spool_is_fine_and_stays_empty(tmp_path: Path) -> None:
    """The folder is made if need be, and no file is left in it."""
    assert examined(tmp_path / "new") == {}
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_that_can_not_be_written(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "spool").write_text("")
    found = examined(tmp_path / "spool")
    assert found["spool-not-writable"].level == "problem"
    assert "memory" in found["spool-not-writable"].why


def test_records_that_wait_for_long(tmp_path: Path) -> None:
    """Segments of a process that is gone are counted, and can be adopted afterwards."""
    folder = left_behind(tmp_path, 3)
    assert examined(folder) == {}
    age(folder)
    waiting = examined(folder)["spool-waiting"]
    assert waiting.level == "note"
    assert "2.0 hours" in waiting.what
    assert "1 of the files belong to no running process" in waiting.why
    adopter = Spool(folder / "abc", max_bytes=64 << 20)
    assert adopter.adopt()
    batch = adopter.take(10, 1 << 20)
    assert batch is not None
    assert len(batch.items) == 3
    adopter.close()


def test_a_running_process_s_records_are_told_apart(tmp_path: Path) -> None:
    """A segment that somebody holds is not said to be orphaned, and stays held."""
    spool = Spool(tmp_path / "abc", max_bytes=64 << 20)
    spool.put(ITEM)
    age(tmp_path)
    assert "keep trying" in examined(tmp_path)["spool-waiting"].why
    spool.close()


def test_delivered_records_do_not_wait(tmp_path: Path) -> None:
    """A segment counts from where its delivery stands."""
    spool = Spool(tmp_path / "abc", max_bytes=64 << 20)
    spool.put(ITEM)
    batch = spool.take(10, 1 << 20)
    assert batch is not None
    spool.delivered(batch)
    age(tmp_path)
    assert "spool-waiting" not in examined(tmp_path)
    spool.close()


def test_a_spool_that_is_nearly_full(tmp_path: Path) -> None:
    """Above four fifths of the limit it is a problem, and the limit that would do is named."""
    folder = left_behind(tmp_path, 900)
    found = examined(folder)["spool-filling"]
    assert found.level == "problem"
    assert "OTEL_AUDIT_SPOOL_MAX_MIB=4" in found.mend[0]
    assert "spool-filling" not in examined(folder, mib=8)


def test_a_disk_with_less_room_than_the_spool_may_take(tmp_path: Path) -> None:
    """More than any disk has."""
    assert examined(tmp_path, mib=1 << 40)["spool-disk-short"].level == "problem"


@pytest.mark.parametrize(("suffix", "name"), [(".damaged", "spool-damaged"), (".rejected", "spool-rejected")])
def test_what_was_set_aside_is_a_problem(tmp_path: Path, suffix: str, name: str) -> None:
    """Damaged files and refused records are named, with what to do."""
    folder = left_behind(tmp_path, 1)
    (file,) = folder.rglob("*.spool")
    file.rename(file.with_suffix(suffix))
    found = examined(folder)
    assert list(found) == [name]
    assert found[name].level == "problem"
    assert found[name].mend


def test_a_spool_among_temporary_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no home folder can be used, the application falls back to them, and that is a note."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "file").write_text("")
    for env in ({"HOME": str(tmp_path / "file")}, {}):
        found, complaints = settings_of(env)
        assert complaints == []
        assert {each.name: each.level for each in doctor_spool.examine(found) if each.name} == {
            "spool-temporary": "note"
        }
