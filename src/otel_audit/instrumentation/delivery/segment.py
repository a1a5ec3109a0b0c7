"""One file of the spool: records in order, and how far they are delivered.

A segment is ``OASPOOL1`` and the offset up to which it is delivered (8 bytes, little-endian), then
records: length and CRC-32 (4 bytes each) and kind (1 byte), then the payload.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_audit.errors import SpoolDamaged

SUFFIX: Final = ".spool"
_MAGIC: Final = b"OASPOOL1"
_HEADER: Final = struct.Struct("<8sQ")
_FRAME: Final = struct.Struct("<IIc")
_READ_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Item:
    """One record: its kind (one byte) and its payload."""

    kind: bytes
    payload: bytes


def frame(item: Item) -> bytes:
    """A record as it lies in a segment."""
    crc = zlib.crc32(item.payload, zlib.crc32(item.kind))
    return _FRAME.pack(len(item.payload), crc, item.kind) + item.payload


class Segment:
    """A file of records, locked against other processes while this object is open.

    Not thread-safe: the spool's lock guards all but ``read``, which only its one reader calls.
    ``size`` and ``delivered`` are offsets in the file.
    """

    def __init__(self, path: Path, fd: int, delivered: int, size: int) -> None:
        self.path = path
        self.delivered = delivered
        self.size = size
        self.records = 0  # appended here and not delivered yet
        self._fd = fd

    @classmethod
    def create(cls, folder: Path) -> Segment:
        """A new, empty segment. Raises OSError."""
        while True:
            path = folder / f"{os.getpid()}-{time.time_ns():x}-{secrets.token_hex(4)}{SUFFIX}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            if not _lock(fd):  # somebody who looked for orphans was faster
                os.close(fd)
                continue
            segment = cls(path, fd, _HEADER.size, _HEADER.size)
            os.pwrite(fd, _HEADER.pack(_MAGIC, _HEADER.size), 0)
            return segment

    @classmethod
    def adopt(cls, path: Path) -> Segment | None:
        """The segment of a process that is gone. None while its process lives, or when another has it."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        if not _lock(fd) or not os.fstat(fd).st_nlink:
            os.close(fd)
            return None
        size = os.fstat(fd).st_size
        head = os.pread(fd, _HEADER.size, 0)
        if len(head) < _HEADER.size:  # its process ended before it could write anything
            return cls(path, fd, _HEADER.size, _HEADER.size)
        magic, delivered = _HEADER.unpack(head)
        if magic != _MAGIC or not _HEADER.size <= delivered <= size:
            delivered = _HEADER.size  # to deliver again is harmless: the receiver knows what it has
        return cls(path, fd, delivered, size)

    @property
    def is_drained(self) -> bool:
        """Whether everything in it is delivered."""
        return self.delivered >= self.size

    def append(self, record: bytes) -> None:
        """Write a framed record. Raises OSError, and then nothing was added."""
        written = os.pwrite(self._fd, record, self.size)
        if written != len(record):
            os.ftruncate(self._fd, self.size)
            raise OSError(f"only {written} of {len(record)} bytes could be written to the spool")
        self.size += written
        self.records += 1

    def read(self, size: int, max_records: int, max_bytes: int) -> tuple[list[Item], int]:
        """Records that are not delivered, before offset ``size``, and the offset behind the last of them.

        Gives one record at least, however long it is. Raises SpoolDamaged when the next can not be read.
        """
        items: list[Item] = []
        end, total = self.delivered, 0
        try:
            for item, behind in self._records(self.delivered, size):
                total += len(item.payload)
                if items and (total > max_bytes or len(items) == max_records):
                    break
                items.append(item)
                end = behind
        except SpoolDamaged:
            if not items:
                raise
        return items, end

    def _records(self, at: int, size: int) -> Iterator[tuple[Item, int]]:
        buffer, start = b"", at
        while at < size:
            if start + len(buffer) < at + _FRAME.size:
                buffer, start = os.pread(self._fd, _READ_BYTES, at), at
            if start + len(buffer) < at + _FRAME.size:
                raise SpoolDamaged(f"{self.path.name}: cut off at byte {at}")
            length, crc, kind = _FRAME.unpack_from(buffer, at - start)
            end = at + _FRAME.size + length
            if end > size:
                raise SpoolDamaged(f"{self.path.name}: the record at byte {at} is cut off")
            if start + len(buffer) < end:
                buffer, start = os.pread(self._fd, max(_READ_BYTES, end - at), at), at
            payload = buffer[at + _FRAME.size - start : end - start]
            if zlib.crc32(payload, zlib.crc32(kind)) != crc:
                raise SpoolDamaged(f"{self.path.name}: the record at byte {at} does not match its checksum")
            yield Item(kind, payload), end
            at = end

    def all_records(self) -> Iterator[Item]:
        """Every record of the file, delivered ones too. Raises SpoolDamaged where it can not be read on."""
        for item, _ in self._records(_HEADER.size, self.size):
            yield item

    def rewrite(self, change: Callable[[Item], Item | None]) -> int:
        """Put what ``change`` gives in the place of records, in a new file of the same name; None leaves a record.

        Gives the number of records that were changed. Close this segment afterwards: the file is no longer its own.
        """
        parts: list[bytes] = []
        size, delivered, changed = _HEADER.size, _HEADER.size, 0
        for item, behind in self._records(_HEADER.size, self.size):
            replaced = change(item)
            changed += replaced is not None
            parts.append(frame(replaced or item))
            size += len(parts[-1])
            if behind <= self.delivered:
                delivered = size
        if not changed:
            return 0
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(_HEADER.pack(_MAGIC, delivered))
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return changed

    def mark_delivered(self, end: int, records: int) -> None:
        """Remember how far the receiver has acknowledged, also for the next process."""
        self.delivered = end
        self.records -= records
        os.pwrite(self._fd, end.to_bytes(8, "little"), len(_MAGIC))

    def sync(self) -> None:
        """Wait until what was appended is on the disk itself."""
        os.fdatasync(self._fd)

    def empty(self) -> None:
        """Start anew, when everything is delivered: the file stays small."""
        self.mark_delivered(_HEADER.size, 0)
        os.ftruncate(self._fd, _HEADER.size)
        self.size = _HEADER.size

    def set_aside(self) -> None:
        """Keep a damaged file for somebody to look at, where nobody will deliver it."""
        self.rename(".damaged")
        self.close()

    def rename(self, suffix: str) -> None:
        """Give the file another ending, and so another meaning."""
        self.path = self.path.rename(self.path.with_suffix(suffix))

    def remove(self) -> None:
        """Delete the file and let go of it."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the file. Whatever it still holds is the next process's to deliver."""
        os.close(self._fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
