"""The folder in which records wait: whether it takes any, and what has been waiting there."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from otel_audit.doctor.findings import Finding, Name, Part, note, ok, problem
from otel_audit.instrumentation.delivery.segment import SUFFIX
from otel_audit.instrumentation.delivery.settings import Settings
from otel_audit.instrumentation.delivery.spool import REJECTED_SUFFIX

_HEADER: Final = struct.Struct("<8sQ")  # as in instrumentation/_segment.py: magic, offset of what is delivered
_DAMAGED_SUFFIX: Final = ".damaged"
_NEARLY_FULL: Final = 0.8
_OLD_SECONDS: Final = 60.0  # a process that lives delivers much sooner, unless the receiver is away
_P: Final = Part.SPOOL


def examine(settings: Settings) -> Iterator[Finding]:
    """Findings on the spool of these settings: all destinations' folders."""
    folder = settings.spool
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        files = [path for path in folder.rglob("*") if path.is_file()]
    except OSError as exc:
        yield problem(
            _P,
            Name.SPOOL_NOT_WRITABLE,
            f"the spool {folder} can not be written ({exc.strerror or type(exc).__name__})",
            "Records wait in memory instead, and are lost when the process ends while the receiver is away.",
            f"As root: $ install -d -m 700 -o {os.getuid()} {folder}",
            "or choose another folder: $ export OTEL_AUDIT_SPOOL_DIR=/var/lib/otel-audit-spool",
        )
        return
    yield ok(_P, f"{folder} can be written")
    if folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith("otel-audit-spool-"):
        yield note(
            _P,
            Name.SPOOL_TEMPORARY,
            "the spool is in the folder for temporary files",
            "There is no home folder that it could be in. What waits there may be deleted at the next boot.",
            "$ export OTEL_AUDIT_SPOOL_DIR=/var/lib/otel-audit-spool",
        )
    yield from _room(settings, files)
    yield from _waiting(files)
    yield from _set_aside(files)


def _room(settings: Settings, files: list[Path]) -> Iterator[Finding]:
    held = sum(_size(path) for path in files if path.suffix in (SUFFIX, REJECTED_SUFFIX))
    if held > _NEARLY_FULL * settings.max_bytes:
        yield problem(
            _P,
            Name.SPOOL_FILLING,
            f"the spool holds {_mib(held)} of at most {_mib(settings.max_bytes)}",
            f"When it is full, OTEL_AUDIT_ON_FULL decides: {settings.on_full} now.",
            "See that the receiver answers (below), or give it more room: "
            f"$ export OTEL_AUDIT_SPOOL_MAX_MIB={(settings.max_bytes >> 20) * 4}",
        )
    free = shutil.disk_usage(settings.spool).free
    if free < settings.max_bytes - held:
        yield problem(
            _P,
            Name.SPOOL_DISK_SHORT,
            f"the disk of the spool has {_mib(free)} left, less than the spool may need",
            f"It may grow to {_mib(settings.max_bytes)} while the receiver is away.",
            "Make room, put the spool elsewhere (OTEL_AUDIT_SPOOL_DIR), or allow it less: "
            f"$ export OTEL_AUDIT_SPOOL_MAX_MIB={max(1, free >> 21)}",
        )


def _waiting(files: list[Path]) -> Iterator[Finding]:
    waiting = {path: left for path in files if path.suffix == SUFFIX and (left := _undelivered(path))}
    old = [path for path in waiting if time.time() - _changed(path) > _OLD_SECONDS]
    if not old:
        return
    orphans = sum(not _is_held(path) for path in old)
    hours = (time.time() - min(map(_changed, old))) / 3600
    yield note(
        _P,
        Name.SPOOL_WAITING,
        f"{_mib(sum(waiting[path] for path in old))} in {len(old)} files wait for the receiver, the oldest for "
        f"{hours:.1f} hours",
        f"{orphans} of the files belong to no running process: the next one of the application sends them."
        if orphans
        else "Their processes run and keep trying.",
        "See that the receiver answers (below), then start the application.",
    )


def _set_aside(files: list[Path]) -> Iterator[Finding]:
    damaged = [path for path in files if path.suffix == _DAMAGED_SUFFIX]
    rejected = [path for path in files if path.suffix == REJECTED_SUFFIX]
    if damaged:
        yield problem(
            _P,
            Name.SPOOL_DAMAGED,
            f"{len(damaged)} damaged files lie in the spool, such as {damaged[0].name}",
            "They could not be read to the end (a full disk, a machine that lost power); what came before is delivered "
            "and the rest was recorded as lost.",
            f"Keep them for whoever looks into it, then: $ rm {damaged[0].parent}/*{_DAMAGED_SUFFIX}",
        )
    if rejected:
        yield problem(
            _P,
            Name.SPOOL_REJECTED,
            f"{len(rejected)} records lie in the spool that the receiver refused for good",
            "Each is recorded as lost. They count towards the spool's limit.",
            f"To have one sent again: $ mv {rejected[0]} {rejected[0].with_suffix(SUFFIX)}",
            f"To give them up: $ rm {rejected[0].parent}/*{REJECTED_SUFFIX}",
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # delivered meanwhile
        return 0


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _undelivered(path: Path) -> int:
    """Bytes of the segment that are not delivered."""
    try:
        with path.open("rb") as file:
            head, size = file.read(_HEADER.size), os.fstat(file.fileno()).st_size
    except OSError:
        return 0
    if len(head) < _HEADER.size:
        return 0
    delivered: int = _HEADER.unpack(head)[1]
    return max(0, size - max(_HEADER.size, delivered))


def _is_held(path: Path) -> bool:
    """Whether a process has it open. A shared lock, let go of at once, takes nothing away from anybody."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB" if size >= 1 << 20 else f"{max(1, size >> 10)} KiB"
