"""OpenTimestamps proofs, checked without a network, and without the library that makes them.

A proof (``.ots``) says how to come from SHA-256 of a file to the Merkle root of a Bitcoin block, by appending,
prepending and hashing. Together with the block's header (80 bytes) it shows that the file existed before the block. The
form is that of python-opentimestamps 0.4.5, which has no other specification.

A header's proof of work shows how much it cost to make, not that it is in Bitcoin's chain: anybody makes one with
easy bits. So its time counts only when somebody who can know says which hash the block of that height has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otel_audit.errors import VerificationError
from otel_audit.ledger.findings import Code

HEADER_BYTES: Final = 80
_MAGIC: Final = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01"  # with major version 1
_SHA256: Final = 0x08
_APPEND, _PREPEND = 0xF0, 0xF1
_OTHER_UNARY: Final = frozenset({0x02, 0x03, 0x67, 0xF2, 0xF3})  # sha1, ripemd160, keccak256, reverse, hexlify
_ATTESTATION, _FORK = 0x00, 0xFF
_BITCOIN: Final = bytes.fromhex("0588960d73d71901")
_PENDING: Final = bytes.fromhex("83dfe30d2ef90c8e")
_LONGEST_MESSAGE: Final = 4096
_LONGEST_PAYLOAD: Final = 8192
_NANOS: Final = 1_000_000_000
# A miner may write a time that is some two hours off: nodes refuse more than that ahead of their own clock.
_MARGIN_SECONDS: Final = 7200


class ProofRefused(VerificationError):
    """A proof does not hold. ``code`` says in which way."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof says of ``digest``: the calendars that promised more, and (height, Merkle root) of blocks."""

    digest: bytes
    pending: tuple[str, ...] = ()
    blocks: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class BlockTime:
    """A block that a proof leads to. ``is_trusted``: the verifier knows it to be Bitcoin's block of that height.

    ``unix_nano`` is when the block was there at the latest: its own time, and what that may be off.
    """

    height: int
    block_hash: str
    unix_nano: int
    is_trusted: bool


def parse_proof(raw: bytes) -> Proof:
    """Read a ``.ots`` file. Raises ProofRefused for one that is damaged, or not over a SHA-256.

    Paths by other operations than append, prepend and SHA-256 are passed over: calendars do not use them for Bitcoin.
    """
    reader = _Reader(raw)
    if reader.take(len(_MAGIC)) != _MAGIC or reader.byte() != _SHA256:
        raise _invalid("is no OpenTimestamps proof over a SHA-256")
    digest = reader.take(32)
    pending: list[str] = []
    blocks: list[tuple[int, bytes]] = []
    # Of each path that is still to be followed: the message so far, None where an operation is not ours to follow.
    open_paths: list[bytes | None] = [digest]
    while open_paths:
        message = open_paths.pop()
        tag = reader.byte()
        if tag == _FORK:
            open_paths.append(message)
            tag = reader.byte()
        if tag == _ATTESTATION:
            kind, payload = reader.take(8), _Reader(reader.block(_LONGEST_PAYLOAD))
            if kind == _PENDING:
                pending.append(payload.block(1000).decode("ascii", "backslashreplace"))
            elif kind == _BITCOIN and message is not None:
                blocks.append((payload.number(), message))
        elif tag in {_APPEND, _PREPEND}:
            argument = reader.block(_LONGEST_MESSAGE)
            if message is not None:
                message = message + argument if tag == _APPEND else argument + message
                if len(message) > _LONGEST_MESSAGE:
                    raise _invalid("has a message that is too long")
            open_paths.append(message)
        elif tag == _SHA256:
            open_paths.append(None if message is None else hashlib.sha256(message).digest())
        elif tag in _OTHER_UNARY:
            open_paths.append(None)
        else:
            raise _invalid(f"has an operation that is not known, 0x{tag:02x}")
    if reader.rest():
        raise _invalid("goes on after its end")
    return Proof(digest, tuple(pending), tuple(blocks))


def verify_proof(proof: Proof, note: bytes, header: bytes, trusted: Mapping[int, str]) -> BlockTime:
    """Check a proof over ``note`` against the header of its block. ``trusted`` maps heights to block hashes, hex.

    1. The proof is over SHA-256 of the note.
    2. The header's hash is as small as its own bits ask for.
    3. A path of the proof ends in the header's Merkle root.
    4. Where the height is trusted, the header has the hash of that block.

    Raises ProofRefused.
    """
    check_imprint(proof, note)  # 1
    if len(header) != HEADER_BYTES:
        raise _invalid(f"its block header has {len(header)} bytes, not {HEADER_BYTES}")
    digest = hashlib.sha256(hashlib.sha256(header).digest()).digest()
    if int.from_bytes(digest, "little") > _target(int.from_bytes(header[72:76], "little")):  # 2
        raise _invalid("its block header has no valid proof of work")
    heights = [height for height, root in proof.blocks if root == header[36:68]]  # 3
    if not heights:
        raise _invalid("does not lead to the block header beside it")
    height, block_hash = min(heights), digest[::-1].hex()
    if trusted.get(height, block_hash) != block_hash:  # 4
        raise _invalid(f"its block header is not the one of Bitcoin's block {height:,}: that is {trusted[height]}")
    seconds = int.from_bytes(header[68:72], "little") + _MARGIN_SECONDS
    return BlockTime(height, block_hash, seconds * _NANOS, height in trusted)


def check_imprint(proof: Proof, note: bytes) -> None:
    """Raise ProofRefused when the proof is over something else than ``note``."""
    if proof.digest != hashlib.sha256(note).digest():
        raise ProofRefused(Code.IMPRINT_MISMATCH, "is not over the note beside it")


def _target(bits: int) -> int:
    """The number that a block's hash must not exceed, from its compact form; 0 for one that is not valid."""
    exponent, mantissa = bits >> 24, bits & 0x007FFFFF
    if bits & 0x00800000 or exponent > 34:
        return 0
    target = mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)
    return target if target < 1 << 256 else 0


def _invalid(detail: str) -> ProofRefused:
    return ProofRefused(Code.OTS_INVALID, detail)


class _Reader:
    """Takes bytes from the front; ProofRefused where there are too few."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    def take(self, count: int) -> bytes:
        self._at += count
        if self._at > len(self._raw):
            raise _invalid("is cut off")
        return self._raw[self._at - count : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 63:
                raise _invalid("has a number that is too large")

    def block(self, longest: int) -> bytes:
        size = self.number()
        if size > longest:
            raise _invalid(f"has a part of {size} bytes, more than {longest}")
        return self.take(size)

    def rest(self) -> bytes:
        return self._raw[self._at :]
