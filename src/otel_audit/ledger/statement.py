r"""Signed statements in the ledger: who erased what and why, which entries expired, which key follows which.

A statement is a signed note (C2SP signed-note) of two lines, kept in an entry's attribute:

    otel-audit/<kind>/v1\n
    <JSON object: keys sorted, no spaces, ASCII>\n

The entry binds it into the ledger; the signature says that the holder of the ledger's key made it, so that nobody
else can explain a missing text or entry away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_audit.errors import MalformedInput, VerificationError
from otel_audit.ledger.note import NoteSignature, Signer, VerifierKey, open_note, parse_note, sign_note

_HEAD: Final = re.compile(r"otel-audit/([a-z_]+)/v1")


@dataclass(frozen=True, slots=True)
class Statement:
    """What was stated: ``kind`` (``erasure``, ``retention``, ``key_rotation``) and its fields."""

    kind: str
    fields: Mapping[str, Any]
    signatures: Sequence[NoteSignature] = ()


def sign_statement(kind: str, fields: Mapping[str, Any], signers: Iterable[Signer]) -> str:
    """The signed note of a statement. Raises MalformedInput for a kind or fields that can not be written."""
    try:
        body = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise MalformedInput(f"statement {kind}: can not be written as JSON: {exc}") from exc
    if not _HEAD.fullmatch(f"otel-audit/{kind}/v1"):
        raise MalformedInput(f"statement kind {kind!r}: small letters and _ only")
    return sign_note(f"otel-audit/{kind}/v1\n{body}\n", signers)


def open_statement(note: str, keys: Sequence[VerifierKey], kind: str) -> Statement:
    """Check a statement's signatures against ``keys``; it has those that hold.

    Raises BadSignature or UnknownKey, and VerificationError when it is no statement of this kind.
    """
    text, signatures = open_note(note, keys)
    return _parse(text, signatures, kind)


def read_statement(note: str, kind: str) -> Statement:
    """What a statement *claims*, its signatures unchecked. Raises VerificationError when it is none of this kind."""
    text, _ = parse_note(note)
    return _parse(text, (), kind)


def _parse(text: str, signatures: Sequence[NoteSignature], kind: str) -> Statement:
    lines = text.split("\n")
    head = _HEAD.fullmatch(lines[0])
    if head is None or len(lines) != 3 or lines[2]:
        raise VerificationError("statement: expected the line otel-audit/<kind>/v1 and one line of JSON")
    if head[1] != kind:
        raise VerificationError(f"statement: is of kind {head[1]}, expected {kind}")
    try:
        fields = json.loads(lines[1])
    except ValueError as exc:
        raise VerificationError(f"statement {kind}: is not JSON") from exc
    if not isinstance(fields, dict):
        raise VerificationError(f"statement {kind}: is not a JSON object")
    return Statement(kind, fields, signatures)
