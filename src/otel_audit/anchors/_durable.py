"""Files of an anchor folder that are there after a crash, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def append_durably(path: Path, line: bytes) -> None:
    """Append a line and fsync it; a torn line that a crash left before it stays a line of its own."""
    is_new = not path.exists()
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        _sync_folder(path.parent)


def replace_durably(path: Path, content: bytes) -> None:
    """Put a whole file at ``path``, readable by all, or leave what was there."""
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=".", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
    _sync_folder(path.parent)


def make_durable_folder(folder: Path) -> None:
    """Make a folder whose name survives a crash."""
    if not folder.is_dir():
        make_durable_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
