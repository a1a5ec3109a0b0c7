r"""Proof files (C2SP tlog-proof): one entry's inclusion in a ledger, in a text that is checked without the ledger.

c2sp.org/tlog-proof@v1\n
extra <base64>\n                 only when there is any; nothing authenticates it
index <seq, decimal>\n
<base64 of a hash>\n             the inclusion proof, from the leaf's sibling up
\n
<signed checkpoint>
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import open_checkpoint
from otel_audit.ledger.encoding import HASH_SIZE
from otel_audit.ledger.merkle import verify_inclusion
from otel_audit.ledger.note import VerifierKey
from otel_audit.model import Checkpoint

SUFFIX: Final = ".tlog-proof"  # C2SP tlog-proof, "Proofs SHOULD be stored with file extension"
_HEAD: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,19})", re.ASCII)
_MAX_HASHES: Final = 64  # a tree of 2**64 leaves is 64 levels high


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That the entry at ``index`` is in the tree of ``note``, a signed checkpoint; ``hashes`` lead to its root."""

    index: int
    hashes: Sequence[bytes]
    note: str
    extra: bytes = b""


def format_proof(proof: InclusionProof) -> str:
    """The text of a proof file."""
    extra = f"extra {_base64(proof.extra)}\n" if proof.extra else ""
    hashes = "".join(f"{_base64(each)}\n" for each in proof.hashes)
    return f"{_HEAD}\n{extra}index {proof.index}\n{hashes}\n{proof.note}"


def parse_proof(text: str) -> InclusionProof:
    """Read a proof file. Raises VerificationError for anything that ``format_proof`` would not write."""
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines.pop(0) != _HEAD:
        raise VerificationError(f"proof file: expected {_HEAD}, a proof, an empty line and a checkpoint")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = _decoded(lines.pop(0).removeprefix("extra "), "extra data")
        if not extra:
            raise VerificationError("proof file: the line of extra data is empty")
    index = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if index is None or len(lines) > _MAX_HASHES:
        raise VerificationError(f"proof file: expected a line index <number> and at most {_MAX_HASHES} hashes")
    hashes = [_decoded(line, f"hash {number}") for number, line in enumerate(lines, 1)]
    if any(len(each) != HASH_SIZE for each in hashes):
        raise VerificationError(f"proof file: a hash is not {HASH_SIZE} bytes long")
    return InclusionProof(int(index[1]), hashes, note, extra)


def verify_proof(proof: InclusionProof, leaf: bytes, keys: Sequence[VerifierKey], origin: str) -> Checkpoint:
    """Check that the entry with hash ``leaf`` is in the ledger ``origin``; return the checkpoint that says so.

    Follows the steps of C2SP tlog-proof; the leaf hash comes from whoever has the entry. Witnesses are not counted
    here. Raises BadSignature, UnknownKey or WrongOrigin, or VerificationError when the proof does not hold.
    """
    checkpoint = open_checkpoint(proof.note, keys, origin)
    verify_inclusion(leaf, proof.index, checkpoint.size, checkpoint.root_hash, proof.hashes)
    return checkpoint


def _decoded(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise VerificationError(f"proof file: {what} is not base64") from exc
    if _base64(raw) != text:
        raise VerificationError(f"proof file: {what} is not canonical base64")
    return raw


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
