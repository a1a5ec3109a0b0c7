"""Texts kept where the customer says, under a keyed name: what the mode ``reference`` does with them."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

from otel_audit.errors import StoreUnavailable

_PRIVATE: Final = 0o600


def write_reference(base: Path, digest: str, text: str) -> str:
    """Put a text into the folder ``base``, whole or not at all, and give its URI.

    The same text has the same name, so that a retry writes nothing new. Raises StoreUnavailable when the folder
    can not be written: keep the record and try again, never send the text instead.
    """
    path = base / f"{digest.replace(':', '-')}.txt"
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), _PRIVATE
            )
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as exc:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise StoreUnavailable(f"reference_base {base}: a text can not be written: {exc.strerror}") from exc
    return path.as_uri()
