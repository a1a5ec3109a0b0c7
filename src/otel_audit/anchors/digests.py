"""Digests over all ledgers, kept beside a file anchor's records of the ledger that signs them.

<anchor folder>/<ledger>/digests/<number, 8 digits>-<YYYY-MM-DD>.note
"""

from __future__ import annotations

import contextlib
import hashlib

from otel_audit.anchors._durable import make_durable_folder, replace_durably
from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import ConfigError, VerificationError
from otel_audit.ledger.digest import Digest, StoredDigest, read_digest
from otel_audit.ledger.findings import Code
from otel_audit.model import Finding


def keep_digest(records: FileAnchor, digest: Digest, note: str) -> None:
    """Write a signed digest down, durably."""
    folder = records.folder_of(digest.origin) / "digests"
    make_durable_folder(folder)
    replace_durably(folder / f"{digest.number:08}-{digest.made_at[:10]}.note", note.encode())


def newest_digest(records: FileAnchor, origin: str) -> tuple[int, str, float]:
    """(number, hash, seconds since 1970 when it was written) of the newest digest of a ledger; zeros without one.

    The file's name counts, not what it holds: an altered digest is never followed by a second one of its number.
    """
    paths = sorted((records.folder_of(origin) / "digests").glob("*.note"))
    if not paths:
        return 0, "", 0.0
    newest = paths[-1]
    number = newest.name.partition("-")[0]
    if not number.isdecimal():
        raise ConfigError(f"{newest}: its name is not that of a digest. Move it elsewhere")
    return int(number), hashlib.sha256(newest.read_bytes()).hexdigest(), newest.stat().st_mtime


def missing_digest(records: FileAnchor, origin: str, number: int, seen_in: str) -> Finding | None:
    """What to say when ``seen_in``, made after a digest was kept here, has one that is not here any more."""
    folder = records.folder_of(origin) / "digests"
    if any(folder.glob(f"{number:08}-*.note")):
        return None
    return Finding(Code.ANCHOR_MISSING, origin, f"digest {number} is gone from {folder}; it was there for {seen_in}")


def own_digests(records: FileAnchor, origin: str) -> list[tuple[Digest, str]]:
    """The readable digests of one ledger with their notes, by number; the others are for ``verify`` to tell."""
    kept = []
    for path in sorted((records.folder_of(origin) / "digests").glob("*.note")):
        with contextlib.suppress(UnicodeDecodeError, VerificationError):
            note = path.read_text(encoding="utf-8")
            kept.append((read_digest(note), note))
    return kept


def read_digests(records: FileAnchor) -> tuple[StoredDigest, ...]:
    """All digests below an anchor folder, whatever they hold: signatures are for the verifier to check."""
    return tuple(
        StoredDigest(path.read_bytes().decode("utf-8", "backslashreplace"), str(path), str(records.folder))
        for path in sorted(records.folder.glob("*/digests/*.note"))
    )
