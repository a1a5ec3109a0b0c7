r"""Cosignatures (C2SP tlog-cosignature, Ed25519): a witness says that a checkpoint continues all it saw before.

signature line   — <witness name> base64(key id || seconds since 1970, u64 big-endian || Ed25519 signature)
signed message   cosignature/v1\ntime <seconds>\n<the checkpoint's text>

key id = SHA-256(name || 0x0A || 0x04 || public key)[:4]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from otel_audit.errors import ConfigError
from otel_audit.ledger.note import (
    KEY_SIZE,
    PRIVATE_START,
    BadSignature,
    NoteSignature,
    check_key_id,
    check_key_name,
    format_key_text,
    key_id_of,
    parse_key_text,
    parse_note,
    parse_signature,
    signature_line,
)

COSIGNATURE: Final = 0x04  # signed-note: timestamped Ed25519 witness cosignatures
_TIMESTAMP_SIZE: Final = 8  # tlog-cosignature: timestamped_signature.timestamp
_SIGNATURE_SIZE: Final = 64  # RFC 8032
_MAX_TIMESTAMP: Final = (1 << 63) - 1  # tlog-cosignature: "MUST NOT exceed 2^63 - 1"


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that was verified: whose, and when it was made (seconds since 1970, by the witness's clock)."""

    witness: str
    unix_seconds: int


@dataclass(frozen=True, slots=True)
class CosignatureKey:
    """The public half of a witness's key.

    >>> witness = CosignatureSigner("witness.example/w1", bytes(32))
    >>> CosignatureKey.parse(witness.verifier_key.format()) == witness.verifier_key
    True
    """

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public_key) != KEY_SIZE:
            raise ConfigError(f"witness key {self.name}: {len(self.public_key)} bytes, expected {KEY_SIZE}")

    @property
    def key_id(self) -> bytes:
        """The four bytes that, with the name, say which witness made a cosignature."""
        return key_id_of(self.name, COSIGNATURE, self.public_key)

    @classmethod
    def parse(cls, text: str) -> CosignatureKey:
        """Read ``name+hex+base64`` of type 0x04. Raises ConfigError with what is wrong."""
        name, key_id, public_key = parse_key_text(text.strip(), "witness key", COSIGNATURE)
        key = cls(name, public_key)
        check_key_id(name, key_id, key.key_id)
        return key

    def format(self) -> str:
        """The text form: ``name+hex+base64``."""
        return format_key_text(self.name, self.key_id, COSIGNATURE, self.public_key)

    def verify(self, text: str, signature: bytes) -> Cosignature:
        """Check a cosignature (time and Ed25519 signature) of a checkpoint's text. Raises BadSignature."""
        who = f"cosignature by {self.name} (key {self.key_id.hex()})"
        if len(signature) != _TIMESTAMP_SIZE + _SIGNATURE_SIZE:
            raise BadSignature(f"{who}: {len(signature)} bytes, expected {_TIMESTAMP_SIZE + _SIGNATURE_SIZE}")
        seconds = int.from_bytes(signature[:_TIMESTAMP_SIZE], "big")
        if seconds > _MAX_TIMESTAMP:
            raise BadSignature(f"{who}: its time {seconds} is not below 2**63")
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(
                signature[_TIMESTAMP_SIZE:], _message(text, seconds)
            )
        except (InvalidSignature, ValueError) as exc:
            raise BadSignature(f"{who} does not verify") from exc
        return Cosignature(self.name, seconds)


@dataclass(frozen=True, slots=True)
class CosignatureSigner:
    """A witness's private key. Its text form is a secret: keep it in a file of mode 0600.

    The signed message does not name the witness: never use one key under two names.
    """

    name: str
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.seed) != KEY_SIZE:
            raise ConfigError(f"witness signing key {self.name}: {len(self.seed)} bytes, expected {KEY_SIZE}")

    @classmethod
    def generate(cls, name: str) -> CosignatureSigner:
        """A new random key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> CosignatureSigner:
        """Read ``PRIVATE+KEY+name+hex+base64`` of type 0x04. Raises ConfigError, never with the key."""
        text = text.strip()
        if not text.startswith(PRIVATE_START):
            raise ConfigError(f"witness signing key: does not start with {PRIVATE_START}")
        name, key_id, seed = parse_key_text(text.removeprefix(PRIVATE_START), "witness signing key", COSIGNATURE)
        signer = cls(name, seed)
        check_key_id(name, key_id, signer.verifier_key.key_id)
        return signer

    def format(self) -> str:
        """The text form: ``PRIVATE+KEY+name+hex+base64``."""
        return PRIVATE_START + format_key_text(self.name, self.verifier_key.key_id, COSIGNATURE, self.seed)

    @property
    def verifier_key(self) -> CosignatureKey:
        """The public half."""
        public_key = Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()
        return CosignatureKey(self.name, public_key)

    def cosign(self, text: str, unix_seconds: int) -> str:
        """The cosignature line, with its line end, of a checkpoint's text (without its signatures)."""
        if not 0 <= unix_seconds <= _MAX_TIMESTAMP:
            raise ConfigError(f"cosignature time {unix_seconds}: expected seconds since 1970. Is the clock right?")
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(_message(text, unix_seconds))
        timestamped = unix_seconds.to_bytes(_TIMESTAMP_SIZE, "big") + signature
        return signature_line(self.name, self.verifier_key.key_id, timestamped)


def verify_cosignatures(note: str, keys: Iterable[CosignatureKey]) -> list[Cosignature]:
    """The cosignatures on a note by the witnesses that we know; lines by others are ignored.

    One for each witness key, the newest. Raises BadSignature when one by a known witness does not hold.
    The log's own signature is not looked at.
    """
    text, signatures = parse_note(note)
    return _verify(text, signatures, keys)


def add_cosignatures(note: str, answer: str, keys: Sequence[CosignatureKey]) -> tuple[str, list[Cosignature]]:
    """Put the cosignature lines of a witness's answer below a note; return it, and what was added.

    Lines by other keys than ``keys`` are left out. Raises BadSignature when the answer is no sequence of signature
    lines, or a line by one of ``keys`` does not hold.
    """
    text, _ = parse_note(note)
    if not answer.endswith("\n"):
        raise BadSignature("answer of the witness: no signature lines, each with a line end")
    lines = answer.removesuffix("\n").split("\n")
    known = {(key.name, key.key_id) for key in keys}
    ours = [(line, each) for line in lines if ((each := parse_signature(line)).name, each.key_id) in known]
    cosignatures = _verify(text, [each for _, each in ours], keys)
    return note + "".join(f"{line}\n" for line, _ in ours), cosignatures


def _verify(text: str, signatures: Iterable[NoteSignature], keys: Iterable[CosignatureKey]) -> list[Cosignature]:
    known = {(key.name, key.key_id): key for key in keys}
    newest: dict[tuple[str, bytes], Cosignature] = {}
    for signature in signatures:
        which = signature.name, signature.key_id
        if which in known:
            found = known[which].verify(text, signature.signature)
            if which not in newest or found.unix_seconds > newest[which].unix_seconds:
                newest[which] = found
    return list(newest.values())


def _message(text: str, unix_seconds: int) -> bytes:
    return f"cosignature/v1\ntime {unix_seconds}\n{text}".encode()
