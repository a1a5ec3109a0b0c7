"""What a witness is asked (C2SP tlog-witness ``add-checkpoint``), and the rule by which it cosigns.

old <size of the last checkpoint it cosigned>
<base64 of a consistency proof's hash>          none to 63 lines
<blank line>
<checkpoint: a signed note>
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_audit.errors import AuditError, MalformedInput, VerificationError
from otel_audit.ledger.checkpoint import parse_checkpoint
from otel_audit.ledger.encoding import HASH_SIZE
from otel_audit.ledger.merkle import EMPTY_ROOT, verify_consistency
from otel_audit.ledger.note import VerifierKey, open_note, parse_note
from otel_audit.model import Checkpoint

MAX_PROOF_LINES: Final = 63  # tlog-witness: "The client MUST NOT send more than 63 consistency proof lines"
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,19})", re.ASCII)
_MAX_SIZE: Final = (1 << 64) - 1


class UnknownOrigin(AuditError):
    """The witness knows no ledger of that origin. Have its operator add the ledger's verifier key."""


class SizeConflict(AuditError):
    """The witness cosigned another checkpoint than the request builds on. ``size`` is that of its newest one."""

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.size = size


class SplitView(SizeConflict):
    """The ledger's key signed another root for a size that was cosigned. Keep both notes: they prove it."""


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """One request, parsed. Nothing of it has been checked: ``text`` is what the note's signatures are over."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str
    text: str
    checkpoint: Checkpoint


def format_add_checkpoint(old_size: int, proof: Sequence[bytes], note: str) -> str:
    """The body of a request. ``proof`` is the consistency proof from ``old_size`` to the size in ``note``."""
    lines = [f"old {old_size}\n", *(base64.b64encode(each).decode("ascii") + "\n" for each in proof)]
    return "".join(lines) + "\n" + note


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """Read a request. Raises MalformedInput for what is none, also for an old size above the checkpoint's."""
    try:
        head, blank, note = body.decode("utf-8").partition("\n\n")
        text, _ = parse_note(note)
        checkpoint = parse_checkpoint(text)
    except (UnicodeDecodeError, VerificationError) as exc:
        raise MalformedInput(f"add-checkpoint: not a checkpoint after the blank line: {exc}") from exc
    old, *proof = head.split("\n")
    matched = _OLD.fullmatch(old)
    if not blank or matched is None or (old_size := int(matched[1])) > _MAX_SIZE:
        raise MalformedInput("add-checkpoint: the first line is not 'old <size>' in canonical decimal")
    if len(proof) > MAX_PROOF_LINES:
        raise MalformedInput(f"add-checkpoint: {len(proof)} proof lines, at most {MAX_PROOF_LINES} are allowed")
    if old_size > checkpoint.size:
        raise MalformedInput(f"add-checkpoint: old size {old_size} is above the checkpoint's size {checkpoint.size}")
    return AddCheckpoint(old_size, tuple(_hash(line) for line in proof), note, text, checkpoint)


def check_signed(request: AddCheckpoint, logs: Mapping[str, Sequence[VerifierKey]]) -> None:
    """Check that a trusted key signed the checkpoint; ``logs`` are the known origins with their keys.

    Raises UnknownOrigin, or BadSignature or UnknownKey.
    """
    origin = request.checkpoint.origin
    if origin not in logs:
        raise UnknownOrigin(f"no ledger {origin!r} is known here")
    open_note(request.note, logs[origin])


def check_continues(request: AddCheckpoint, newest: Checkpoint | None) -> None:
    """Check that a signed checkpoint continues the ``newest`` one that was cosigned (None: none was).

    Raises SizeConflict (SplitView when it contradicts), or VerificationError for a proof that does not hold.
    """
    new, size = request.checkpoint, newest.size if newest else 0
    if newest is not None and new.size == newest.size and new.root_hash != newest.root_hash:
        raise SplitView(f"{new.origin}: another root was cosigned for size {new.size}", size)  # whatever it builds on
    if request.old_size != size:
        raise SizeConflict(f"{new.origin}: the newest cosigned size is {size}, not {request.old_size}", size)
    if new.size == 0 and new.root_hash != EMPTY_ROOT:
        raise VerificationError(f"{new.origin}: the root of size 0 is not that of the empty tree")
    if size == 0 or newest is None:
        if request.proof:
            raise VerificationError(f"{new.origin}: a proof from size 0 must be empty")
        return
    verify_consistency(newest.size, newest.root_hash, new.size, new.root_hash, request.proof)


def _hash(line: str) -> bytes:
    try:
        value = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise MalformedInput("add-checkpoint: a proof line is not base64") from exc
    if len(value) != HASH_SIZE or base64.b64encode(value).decode("ascii") != line:
        raise MalformedInput(f"add-checkpoint: a proof line is not the canonical base64 of {HASH_SIZE} bytes")
    return value
