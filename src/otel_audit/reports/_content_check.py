"""Texts against the commitments of the entries: two streams in the same order, merged."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import groupby
from typing import Final, Literal

from otel_audit.errors import VerificationError
from otel_audit.ledger.erasure import Erasure, Erasures
from otel_audit.ledger.findings import Code, Findings
from otel_audit.privacy.commitments import verify_commitment
from otel_audit.store.evidence import StoredText

_PROGRESS_EVERY: Final = 1024

Commitments = Iterator[tuple[int, bytes, bytes]]


def check_contents(
    commitments: Commitments,
    texts: Iterator[StoredText],
    findings: Findings,
    progress: Callable[[int], None] | None = None,
    erasures: Erasures | None = None,
) -> int:
    """Check that each commitment has its text, and return how many do.

    ``commitments`` are (seq, content name, commitment) of the entries; both streams are ordered by seq and name.
    A text that no entry commits to is what a failed insert leaves behind: harmless. ``progress`` hears now and
    then how many texts were read. ``erasures`` explain missing texts; a text that is erased and still there is a
    finding.
    """
    erasures = erasures or Erasures()
    verified = 0
    stored = groupby(_counted(texts, progress), key=lambda text: (text.seq, text.name))
    place, group = next(stored, (None, None))
    for (seq, name), expected in groupby(commitments, key=lambda item: item[:2]):
        while place is not None and place < (seq, name):
            place, group = next(stored, (None, None))
        wanted = {commitment for _, _, commitment in expected}
        erased = _erasure_of(seq, name, erasures)
        if erased is not None:
            entry, erasure = erased
            if place == (seq, name) and group is not None and wanted & {text.commitment for text in group}:
                detail = f"entry {entry} says that the text {_shown(name)} was erased, but it is still there"
                findings.add(Code.FALSE_TOMBSTONE, detail, seq=seq, column="content")
            else:
                _tell_erased(seq, name, entry, erasure, findings)
            continue
        if place != (seq, name) or group is None:
            detail = f"the text {_shown(name)} is gone, and no valid erasure was recorded for it"
            findings.add(Code.CONTENT_MISSING, detail, seq=seq, column="content")
            continue
        for commitment in wanted - _check_group(group, wanted, findings):
            detail = f"the text {_shown(name)} is not the one the entry commits to ({commitment.hex()})"
            findings.add(Code.CONTENT_MISMATCH, detail, seq=seq, column="content")
        verified += len(wanted)
    return verified


def pass_contents(
    commitments: Commitments, sealed: Generator[int, None, None], findings: Findings, erasures: Erasures
) -> Literal[0]:
    """Where there are no readable texts: check that each text is there sealed, unless it was erased; none is compared.

    ``sealed`` are the seqs of entries with sealed texts, in order. What is in those is not looked at.
    """
    count = 0
    with closing(sealed):
        place = next(sealed, None)
        for (seq, name), _ in groupby(commitments, key=lambda item: item[:2]):
            while place is not None and place < seq:
                place = next(sealed, None)
            erased = _erasure_of(seq, name, erasures)
            if erased is not None:
                _tell_erased(seq, name, *erased, findings)
            elif place == seq:
                count += 1
            else:
                detail = f"the text {_shown(name)} is gone, sealed as well, and no valid erasure was recorded for it"
                findings.add(Code.CONTENT_MISSING, detail, seq=seq, column="content")
    if count:
        detail = (
            f"{count} texts were not there to check: they are sealed in the store, but the folder of readable texts is "
            "not beside it. That they say what was recorded is not proven"
        )
        findings.add(Code.TEXTS_NOT_CHECKED, detail, column="content")
    return 0


def _erasure_of(seq: int, name: bytes, erasures: Erasures) -> tuple[int, Erasure] | None:
    return erasures.of(seq, name.decode("utf-8", "backslashreplace"))


def _tell_erased(seq: int, name: bytes, entry: int, erasure: Erasure, findings: Findings) -> None:
    detail = f"the text {_shown(name)} was {erasure.told()} (entry {entry})"
    findings.add(Code.ERASED, detail, seq=seq, column="content")


def _check_group(group: Iterator[StoredText], wanted: set[bytes], findings: Findings) -> set[bytes]:
    """Check the texts stored for one name of one entry; return the wanted commitments that a text has."""
    found = set()
    for text in group:
        if text.commitment not in wanted:
            continue
        found.add(text.commitment)
        try:
            verify_commitment(text.name.decode(), text.value.decode(), text.opening, text.commitment)
        except (VerificationError, UnicodeDecodeError):
            detail = f"the text {_shown(text.name)} was changed: it is not what the entry commits to"
            findings.add(Code.CONTENT_MISMATCH, detail, seq=text.seq, column="content")
    return found


def _counted(texts: Iterator[StoredText], progress: Callable[[int], None] | None) -> Iterator[StoredText]:
    count = 0
    for count, text in enumerate(texts, 1):
        if progress is not None and count % _PROGRESS_EVERY == 0:
            progress(count)
        yield text
    if progress is not None:
        progress(count)


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "backslashreplace"))
