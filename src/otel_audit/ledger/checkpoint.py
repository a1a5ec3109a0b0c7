r"""Checkpoints (C2SP tlog-checkpoint): a signed note that says how large a ledger is, and its root hash.

<origin>\n
<size, decimal>\n
<base64 of the 32-byte root hash>\n
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from otel_audit.errors import MalformedInput, VerificationError
from otel_audit.ledger.encoding import HASH_SIZE
from otel_audit.ledger.note import NoteSignature, Signer, UnknownKey, VerifierKey, open_note, parse_note, sign_note
from otel_audit.model import Checkpoint

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
_MAX_SIZE: Final = (1 << 64) - 1


class WrongOrigin(VerificationError):
    """A checkpoint speaks of another ledger than the one it was found with. Treat it as misplaced evidence."""


@dataclass(frozen=True, slots=True)
class AnchoredCheckpoint:
    """A signed checkpoint as an anchor gives it back.

    ``origin`` is the ledger the anchor filed it under, ``source`` says where a person finds it, and
    ``published_at`` is when (RFC 3339, by the publisher's clock). ``kind`` is the kind of anchor.

    ``attested_unix_nano`` is when it existed at the latest, by a clock that is not the publisher's (nanoseconds since
    1970; None: nobody else attests a time), and ``evidence`` what proves that: a timestamp token, for instance.
    An anchor sets the time only after verifying the evidence. ``block_header`` is that of an OpenTimestamps proof.
    """

    origin: str
    note: str
    source: str
    published_at: str = ""
    kind: str = "file"
    attested_unix_nano: int | None = None
    evidence: bytes = b""
    block_header: bytes = b""


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The text that gets signed. Raises MalformedInput for an origin or root hash that can not be written."""
    if not checkpoint.origin or any(letter < " " for letter in checkpoint.origin):
        raise MalformedInput(f"checkpoint: origin {checkpoint.origin!r} must be one non-empty line")
    if not 0 <= checkpoint.size <= _MAX_SIZE:
        raise MalformedInput(f"checkpoint: size {checkpoint.size} is not an unsigned 64-bit number")
    if len(checkpoint.root_hash) != HASH_SIZE:
        raise MalformedInput(f"checkpoint: root hash is {len(checkpoint.root_hash)} bytes, expected {HASH_SIZE}")
    return f"{checkpoint.origin}\n{checkpoint.size}\n{base64.b64encode(checkpoint.root_hash).decode('ascii')}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint. Extension lines after the third are allowed, and ignored.

    Raises VerificationError for anything that ``format_checkpoint`` would not write, so that one
    checkpoint has one form.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise VerificationError("checkpoint: expected three or more non-empty lines, each ending in a newline")
    origin, size, root_base64 = lines[:3]
    if not _DECIMAL.fullmatch(size) or int(size) > _MAX_SIZE:
        raise VerificationError(f"checkpoint: size {size[:40]!r} is not a canonical decimal number")
    try:
        root_hash = base64.b64decode(root_base64, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise VerificationError("checkpoint: root hash is not base64") from exc
    if len(root_hash) != HASH_SIZE:
        raise VerificationError(f"checkpoint: root hash is {len(root_hash)} bytes, expected {HASH_SIZE}")
    if base64.b64encode(root_hash).decode("ascii") != root_base64:
        raise VerificationError("checkpoint: root hash is not canonical base64")
    return Checkpoint(origin, int(size), root_hash)


def sign_checkpoint(checkpoint: Checkpoint, signers: Iterable[Signer]) -> str:
    """The signed note of a checkpoint. A ledger signs with a key whose name is its origin."""
    return sign_note(format_checkpoint(checkpoint), signers)


def open_checkpoint(note: str, keys: Sequence[VerifierKey], origin: str) -> Checkpoint:
    """Check a signed checkpoint of the ledger ``origin`` against the keys we trust.

    One of the signatures must be by a key that has the origin as its name: a key that is trusted for one
    ledger does not speak for another. Raises BadSignature, UnknownKey or WrongOrigin, or VerificationError
    for a text that is not a checkpoint.
    """
    return open_signed_checkpoint(note, keys, origin)[0]


def open_signed_checkpoint(
    note: str, keys: Sequence[VerifierKey], origin: str
) -> tuple[Checkpoint, list[NoteSignature]]:
    """Like ``open_checkpoint``, with the signatures by the ledger's own keys that hold."""
    text, signatures = open_note(note, keys)
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != origin:
        raise WrongOrigin(f"checkpoint is of ledger {checkpoint.origin!r}, but was found with ledger {origin!r}")
    own = [signature for signature in signatures if signature.name == origin]
    if not own:
        raise UnknownKey(f"checkpoint of {origin!r} is signed by {signatures[0].name!r}, a key of another ledger")
    return checkpoint, own


def read_checkpoint(note: str) -> Checkpoint:
    """What a note *claims*, without checking its signatures: to show it, or to compare before trusting it.

    Raises VerificationError when it is not a checkpoint.
    """
    return parse_checkpoint(parse_note(note)[0])
