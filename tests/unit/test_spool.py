"""The spool: what ``put`` returned from is there until it is delivered, whatever happens to the process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_audit.errors import SpoolDamaged, SpoolFull
from otel_audit.instrumentation.delivery.segment import Item, frame
from otel_audit.instrumentation.delivery.spool import Fsync, Spool

_MIB = 1 << 20


def spool_in(folder: Path, *, max_bytes: int = 16 * _MIB, fsync: Fsync = Fsync.INTERVAL) -> Spool:
    return Spool(folder, max_bytes=max_bytes, fsync=fsync)


def item(number: int, size: int = 10) -> Item:
    return Item(b"S", f"{number}:".encode().ljust(size, b"."))


def drain(spool: Spool, *, max_records: int = 7, max_bytes: int = _MIB) -> list[bytes]:
    """Everything that waits, delivered in batches."""
    found: list[bytes] = []
    while True:
        batch = spool.take(max_records, max_bytes)
        if batch is None:
            if not spool.adopt():
                return found
            continue
        found += [each.payload for each in batch.items]
        spool.delivered(batch)


def fill(spool: Spool) -> None:
    """Put records of 4,000 bytes until one is refused."""
    while True:
        spool.put(item(spool.depth, 4000))


def files(folder: Path, suffix: str = "") -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))


@settings(max_examples=50, deadline=None)
@given(payloads=st.lists(st.binary(max_size=300), max_size=60), batch=st.integers(1, 9), limit=st.integers(1, 2000))
def test_what_is_put_is_taken_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], batch: int, limit: int
) -> None:
    """Whatever the records and the size of batches, each comes out once, in order."""
    spool = spool_in(tmp_path_factory.mktemp("spool"))
    for payload in payloads:
        spool.put(Item(b"L", payload))
    assert spool.depth == len(payloads)
    assert drain(spool, max_records=batch, max_bytes=limit) == payloads
    assert spool.depth == 0


def test_a_batch_stays_within_its_bytes_unless_one_record_is_larger(tmp_path: Path) -> None:
    """A batch is cut before it outgrows its limit; a record beyond the limit comes alone."""
    spool = spool_in(tmp_path)
    for size in (40, 40, 40, 500, 40):
        spool.put(item(0, size))
    sizes = []
    while (batch := spool.take(100, 100)) is not None:
        sizes.append([len(each.payload) for each in batch.items])
        spool.delivered(batch)
    assert sizes == [[40, 40], [40], [500], [40]]


def test_delivered_records_leave_the_disk(tmp_path: Path) -> None:
    """A drained spool is a few bytes, however much went through it, and none when it is closed."""
    spool = spool_in(tmp_path, max_bytes=2 * _MIB)
    most = 0
    for number in range(3000):
        spool.put(item(number, 1000))
        if number % 900 == 0:
            drain(spool)
        most = max(most, len(files(tmp_path)))
    assert most > 1  # it went on to further files
    drain(spool)
    assert sum(path.stat().st_size for path in files(tmp_path)) < 100
    spool.close()
    assert files(tmp_path) == []


def test_a_record_beyond_the_limit_is_refused_and_nothing_else_is_lost(tmp_path: Path) -> None:
    """A full spool says so; what is in it stays, and there is room again once it is delivered."""
    spool = spool_in(tmp_path, max_bytes=_MIB)
    with pytest.raises(SpoolFull, match="OTEL_AUDIT_SPOOL_MAX_MIB"):
        fill(spool)
    put = spool.depth
    assert 200 < put < _MIB // 4000
    spool.put(item(put, 4000), beyond_limit=True)
    assert len(drain(spool)) == put + 1
    spool.put(item(0, 4000))


def test_other_processes_files_count_towards_the_limit(tmp_path: Path) -> None:
    """Two processes share one limit."""
    first, second = spool_in(tmp_path, max_bytes=_MIB), spool_in(tmp_path, max_bytes=_MIB)
    for number in range(200):
        first.put(item(number, 4000))
    second.adopt()
    with pytest.raises(SpoolFull):
        fill(second)
    assert second.depth < 70


def test_a_living_process_keeps_its_segments(tmp_path: Path) -> None:
    """What another process still holds is not taken from it."""
    first, second = spool_in(tmp_path), spool_in(tmp_path)
    first.put(item(1))
    assert not second.adopt()
    assert drain(second) == []
    assert len(drain(first)) == 1


def test_a_killed_process_leaves_its_records_to_the_next(tmp_path: Path) -> None:
    """Records of a process that was killed right after ``put`` are delivered by another, once."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from otel_audit.instrumentation.delivery.spool import Spool\n"
        "from otel_audit.instrumentation.delivery.segment import Item\n"
        "spool = Spool(Path(sys.argv[1]), max_bytes=1 << 20)\n"
        "[spool.put(Item(b'S', str(n).encode())) for n in range(20)]\n"
        "spool.delivered(spool.take(5, 1000))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    spools = [spool_in(tmp_path), spool_in(tmp_path)]
    found = [drain(spool) for spool in spools]
    assert found == [[str(number).encode() for number in range(5, 20)], []]
    assert files(tmp_path) == []


def test_only_one_of_many_takes_over_a_segment(tmp_path: Path) -> None:
    """Processes that look for orphans at the same time deliver each record once between them."""
    left = spool_in(tmp_path)
    for number in range(100):
        left.put(item(number))
    left.close()
    spools = [spool_in(tmp_path) for _ in range(8)]
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda spool=spool: found.extend(drain(spool))) for spool in spools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(item(number).payload for number in range(100))


def test_a_record_cut_off_in_the_middle_is_set_aside_and_the_ones_before_it_delivered(tmp_path: Path) -> None:
    """A torn record costs itself only; the file is kept for somebody to look at."""
    left = spool_in(tmp_path)
    for number in range(3):
        left.put(item(number))
    left.close()
    (path,) = files(tmp_path)
    os.truncate(path, path.stat().st_size - 4)
    spool = spool_in(tmp_path)
    assert spool.adopt()
    batch = spool.take(10, 1000)
    assert batch is not None
    assert [each.payload for each in batch.items] == [item(0).payload, item(1).payload]
    spool.delivered(batch)
    with pytest.raises(SpoolDamaged, match="cut off"):
        spool.take(10, 1000)
    assert spool.set_aside() == len(frame(item(2))) - 4
    assert [path.suffix for path in files(tmp_path)] == [".damaged"]
    assert drain(spool) == []


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """A record that is not what was put is never delivered."""
    left = spool_in(tmp_path)
    left.put(item(0, 50))
    left.close()
    (path,) = files(tmp_path)
    raw = bytearray(path.read_bytes())
    raw[-10] ^= 1
    path.write_bytes(raw)
    spool = spool_in(tmp_path)
    assert spool.adopt()
    with pytest.raises(SpoolDamaged, match="checksum"):
        spool.take(10, 1000)


def test_an_empty_or_foreign_file_does_no_harm(tmp_path: Path) -> None:
    """A file that a process had no time to write, or that is none of ours, stops nothing."""
    (tmp_path / "1-a.spool").touch()
    (tmp_path / "notes.txt").write_text("mine")
    spool = spool_in(tmp_path)
    spool.put(item(1))
    assert drain(spool) == [item(1).payload]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_rejected_record_is_kept_and_can_be_delivered_later(tmp_path: Path) -> None:
    """A record that was refused for good lies in a file of its own; renaming it has it sent again."""
    spool = spool_in(tmp_path)
    spool.reject(item(7))
    spool.reject(item(8))
    assert drain(spool) == []
    spool.close()
    (path,) = files(tmp_path, ".rejected")
    path.rename(path.with_suffix(".spool"))
    assert drain(spool_in(tmp_path)) == [item(7).payload, item(8).payload]


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """Nobody else on the machine can read what waits."""
    spool = spool_in(tmp_path / "new")
    spool.put(item(1))
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in files(tmp_path / "new"))


def test_a_disk_that_takes_half_a_record_keeps_the_others_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short write is an error to the caller, and leaves no half record behind."""
    spool = spool_in(tmp_path)
    spool.put(item(1))
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[: len(data) // 2], at))
    with pytest.raises(OSError, match="could be written"):
        spool.put(item(2))
    monkeypatch.undo()
    spool.put(item(3))
    assert drain(spool) == [item(1).payload, item(3).payload]


@pytest.mark.parametrize(("policy", "times"), [(Fsync.ALWAYS, 3), (Fsync.INTERVAL, 1), (Fsync.NEVER, 0)])
def test_the_fsync_policy_decides_when_the_disk_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: Fsync, times: int
) -> None:
    """``always`` waits at each record, ``interval`` when told to, ``never`` not at all."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    spool = spool_in(tmp_path, fsync=policy)
    for number in range(3):
        spool.put(item(number))
    spool.sync()
    spool.sync()
    assert len(synced) == times


def test_a_forked_child_writes_its_own_segment_and_leaves_its_parents(tmp_path: Path) -> None:
    """After a fork both processes spool and deliver their own, and neither touches the other's."""
    spool = spool_in(tmp_path)
    spool.put(item(1))
    pid = os.fork()
    if pid == 0:  # the child: its exit code is what it found
        spool.forget_after_fork()
        spool.put(item(2))
        os._exit(0 if drain(spool) == [item(2).payload] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert drain(spool) == [item(1).payload]
