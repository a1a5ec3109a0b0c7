"""Commitments: what an entry says about a text without holding it.

``commitment = HMAC-SHA256(opening, len(name) || name || len(value) || value)``, lengths as unsigned
64-bit big-endian counts of UTF-8 bytes. The opening is 32 random bytes that lie beside the text:
erasing both leaves a commitment nobody can guess a short text from.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from otel_audit.errors import VerificationError

OPENING_SIZE: Final = 32


def new_opening() -> bytes:
    """32 fresh random bytes; one for each text."""
    return secrets.token_bytes(OPENING_SIZE)


def commit(name: str, value: str, opening: bytes) -> bytes:
    """The 32-byte commitment to a text under its content name.

    >>> commit("input", "hello", bytes(32)).hex()[:16]
    'f88e2957cf9876bf'
    """
    raw_name, raw_value = name.encode(), value.encode()
    message = b"".join((len(raw_name).to_bytes(8, "big"), raw_name, len(raw_value).to_bytes(8, "big"), raw_value))
    return hmac.digest(opening, message, hashlib.sha256)


def verify_commitment(name: str, value: str, opening: bytes, commitment: bytes) -> None:
    """Raise ``VerificationError`` unless the entry's commitment is to this text under this name."""
    if len(opening) != OPENING_SIZE:
        raise VerificationError(f"content {name!r}: opening is {len(opening)} bytes, expected {OPENING_SIZE}")
    if not hmac.compare_digest(commit(name, value, opening), commitment):
        raise VerificationError(f"content {name!r}: the text does not match the commitment in the ledger")
