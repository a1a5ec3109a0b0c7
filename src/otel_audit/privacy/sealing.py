"""Sealed texts: all texts of one entry as one value that nobody reads without its data key.

    sealed = 0x01 || nonce (12 random bytes) || AES-256-GCM(key, nonce, plain, len(origin) || origin || seq)
    plain  = zlib(str(trace_id) str(span_id) { str(name) commitment[32] opening[32] str(value) } ...)

``str`` is RowBinary: LEB128 length, then UTF-8 bytes. Lengths and seq beside it are unsigned 64-bit big-endian. The
origin and seq are authenticated: a sealed value put beside another entry does not open.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otel_audit.errors import MalformedInput, VerificationError
from otel_audit.ledger.encoding import HASH_SIZE, encode_bytes

KEY_SIZE: Final = 32
KEY_ID_SIZE: Final = 16
_VERSION: Final = b"\x01"
_NONCE_SIZE: Final = 12  # NIST SP 800-38D: random 96-bit nonces, at most 2**32 under one key
_FAST: Final = 1  # zlib level: texts are compressed where requests are answered
_LEAST_WINDOW_BITS: Final = 12  # 4 KB
_LEAST_MEMORY: Final = 5  # zlib's memLevel for it: a hash table of as many entries; 8, its default, for the full window


class SealedText(NamedTuple):
    """One text of an entry, with what opens the entry's commitment to it."""

    name: str
    commitment: bytes
    opening: bytes
    value: str


@dataclass(frozen=True, slots=True)
class EntryTexts:
    """What was sealed for one entry."""

    trace_id: str
    span_id: str
    texts: tuple[SealedText, ...]


def pack(trace_id: str, span_id: str, texts: Sequence[SealedText]) -> bytes:
    """The compressed plain form of an entry's texts; it needs no key and no seq yet."""
    parts = [encode_bytes(trace_id.encode()), encode_bytes(span_id.encode())]
    for text in texts:
        parts += (encode_bytes(text.name.encode()), text.commitment, text.opening, encode_bytes(text.value.encode()))
    plain = b"".join(parts)
    # A window that is no larger than the texts: to make and clear the full one takes longer than to compress a few KB.
    window_bits = min(max(len(plain).bit_length(), _LEAST_WINDOW_BITS), zlib.MAX_WBITS)
    packer = zlib.compressobj(_FAST, zlib.DEFLATED, window_bits, window_bits - _LEAST_WINDOW_BITS + _LEAST_MEMORY)
    return packer.compress(plain) + packer.flush()


def unpack(packed: bytes) -> EntryTexts:
    """Read what ``pack`` made. Raises MalformedInput when it is something else."""
    try:
        plain = _Reader(zlib.decompress(packed))
        trace_id, span_id = plain.text(), plain.text()
        texts = []
        while plain.rest:
            texts.append(SealedText(plain.text(), plain.take(HASH_SIZE), plain.take(HASH_SIZE), plain.text()))
    except (zlib.error, UnicodeDecodeError, IndexError) as exc:
        raise MalformedInput("sealed texts: what was sealed is not a list of texts") from exc
    return EntryTexts(trace_id, span_id, tuple(texts))


def seal(key: AESGCM, origin: str, seq: int, packed: bytes) -> bytes:
    """Seal packed texts for their place in a ledger."""
    # Random, not the seq: after an insert that failed another entry takes the same seq under the same key.
    nonce = os.urandom(_NONCE_SIZE)
    return _VERSION + nonce + key.encrypt(nonce, packed, _place(origin, seq))


def open_sealed(key: bytes, origin: str, seq: int, sealed: bytes) -> EntryTexts:
    """Open what was sealed for this entry. Raises VerificationError when it was altered or belongs elsewhere."""
    if sealed[:1] != _VERSION:
        raise VerificationError(f"sealed texts of entry {seq}: version {sealed[:1].hex()} is not known")
    nonce, box = sealed[1 : 1 + _NONCE_SIZE], sealed[1 + _NONCE_SIZE :]
    try:
        return unpack(AESGCM(key).decrypt(nonce, box, _place(origin, seq)))
    except (InvalidTag, ValueError) as exc:
        raise VerificationError(f"sealed texts of entry {seq}: were altered, or belong to another entry") from exc


def _place(origin: str, seq: int) -> bytes:
    raw = origin.encode()
    return len(raw).to_bytes(8, "big") + raw + seq.to_bytes(8, "big")


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    @property
    def rest(self) -> int:
        return len(self._raw) - self._at

    def take(self, size: int) -> bytes:
        if size > self.rest:
            raise IndexError
        taken = self._raw[self._at : self._at + size]
        self._at += size
        return taken

    def text(self) -> str:
        size = shift = 0
        while True:
            byte = self.take(1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return self.take(size).decode()
