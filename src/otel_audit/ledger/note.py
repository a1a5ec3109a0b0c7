"""Signed notes (C2SP signed-note): a text, a blank line, and signatures over the text.

    <text, ending in a newline>
    <blank line>
    — <key name> base64(key id || signature)

    key id = SHA-256(name || 0x0A || signature type || public key)[:4]

Keys travel as text, in the forms that Go's ``golang.org/x/mod/sumdb/note`` introduced:

    verifier  <name>+<key id, 8 hex digits>+base64(type || public key)
    signer    PRIVATE+KEY+<name>+<key id, 8 hex digits>+base64(type || seed)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from otel_audit.errors import ConfigError, MalformedInput, VerificationError

ED25519: Final = 0x01  # signed-note: signature type identifier
SIGNATURE_START: Final = "\N{EM DASH} "
PRIVATE_START: Final = "PRIVATE+KEY+"
KEY_SIZE: Final = 32  # RFC 8032: an Ed25519 seed and an Ed25519 public key
_KEY_ID_SIZE: Final = 4
_MAX_NOTE_BYTES: Final = 1_000_000
_MAX_SIGNATURES: Final = 100  # signed-note: verifiers limit it, and must accept at least 16


class BadSignature(VerificationError):
    """A signature by a known key does not verify, or the note is not a signed note. Treat it as forged."""


class UnknownKey(VerificationError):
    """No signature on the note is by a key we trust. Get the verifier key from its owner, or treat it as forged."""


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who signed (name and key id), and the signature."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a key, by which others check signatures.

    >>> text = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
    >>> VerifierKey.parse(text).name
    'example.com/log/testdata'
    """

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public_key) != KEY_SIZE:
            raise ConfigError(f"verifier key {self.name}: {len(self.public_key)} bytes, expected {KEY_SIZE}")

    @property
    def key_id(self) -> bytes:
        """The four bytes that, with the name, say which key made a signature."""
        return key_id_of(self.name, ED25519, self.public_key)

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``name+hex+base64``. Raises ConfigError with what is wrong."""
        name, key_id, public_key = parse_key_text(text.strip(), "verifier key")
        key = cls(name, public_key)
        check_key_id(name, key_id, key.key_id)
        return key

    def format(self) -> str:
        """The text form: ``name+hex+base64``."""
        return format_key_text(self.name, self.key_id, ED25519, self.public_key)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check an Ed25519 signature (RFC 8032). Raises BadSignature."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError) as exc:
            raise BadSignature(f"signature by {self.name} (key {self.key_id.hex()}) does not verify") from exc


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key that signs notes as ``name``. Its text form is a secret: keep it in a file of mode 0600."""

    name: str
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.seed) != KEY_SIZE:
            raise ConfigError(f"signing key {self.name}: {len(self.seed)} bytes, expected {KEY_SIZE}")

    @classmethod
    def generate(cls, name: str) -> Signer:
        """A new random key. A ledger's key has its origin as name."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Signer:
        """Read ``PRIVATE+KEY+name+hex+base64``. Raises ConfigError with what is wrong, never with the key."""
        text = text.strip()
        if not text.startswith(PRIVATE_START):
            raise ConfigError(f"signing key: does not start with {PRIVATE_START}")
        name, key_id, seed = parse_key_text(text.removeprefix(PRIVATE_START), "signing key")
        signer = cls(name, seed)
        check_key_id(name, key_id, signer.verifier_key.key_id)
        return signer

    def format(self) -> str:
        """The text form: ``PRIVATE+KEY+name+hex+base64``."""
        return PRIVATE_START + format_key_text(self.name, self.verifier_key.key_id, ED25519, self.seed)

    @property
    def verifier_key(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(self.name, Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature (RFC 8032) of 64 bytes."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)


def sign_note(text: str, signers: Iterable[Signer]) -> str:
    """Sign ``text`` with each of ``signers``. The text must end in a newline and hold no other control character."""
    _check_text(text)
    message = text.encode()
    lines = [signature_line(signer.name, signer.verifier_key.key_id, signer.sign(message)) for signer in signers]
    if not lines:
        raise ConfigError("a signed note needs at least one signer")
    return text + "\n" + "".join(lines)


def signature_line(name: str, key_id: bytes, signature: bytes) -> str:
    """One line below a note's blank line, with its line end."""
    return f"{SIGNATURE_START}{name} {_base64(key_id + signature)}\n"


def parse_note(note: str) -> tuple[str, list[NoteSignature]]:
    """Split a note into its text and signatures without checking any. Raises BadSignature for anything else."""
    if len(note) > _MAX_NOTE_BYTES:
        raise BadSignature(f"note has {len(note)} characters, more than {_MAX_NOTE_BYTES}")
    text, blank, block = note.rpartition("\n\n")
    text += "\n"
    if not blank or not block.endswith("\n"):
        raise BadSignature("note: no blank line with signature lines after it")
    try:
        _check_text(text)
    except MalformedInput as exc:
        raise BadSignature(str(exc)) from exc
    lines = block.removesuffix("\n").split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise BadSignature(f"note has {len(lines)} signatures, more than {_MAX_SIGNATURES}")
    return text, [parse_signature(line) for line in lines]


def open_note(note: str, keys: Sequence[VerifierKey]) -> tuple[str, list[NoteSignature]]:
    """Check a signed note against the ``keys`` we trust; return its text and the signatures that hold.

    Signatures by unknown keys are ignored. Raises BadSignature when a known key's signature fails (one is
    enough to reject the note) or the note is malformed, UnknownKey when no known key signed it.
    """
    text, signatures = parse_note(note)
    known = {(key.name, key.key_id): key for key in keys}
    message = text.encode()
    verified = []
    for signature in signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            key.verify(message, signature.signature)
            verified.append(signature)
    if not verified:
        signed_by = ", ".join(f"{signature.name}+{signature.key_id.hex()}" for signature in signatures)
        raise UnknownKey(f"note is signed by {signed_by}: not by a key we trust")
    return text, verified


def parse_signature(line: str) -> NoteSignature:
    """Read a signature line without its line end. Raises BadSignature for anything else."""
    name, space, encoded = line.removeprefix(SIGNATURE_START).partition(" ")
    if not line.startswith(SIGNATURE_START) or not space or not _is_name(name):
        raise BadSignature(f"note: not a signature line: {line[:80]!r}")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise BadSignature(f"note: signature by {name} is not base64") from exc
    if len(raw) <= _KEY_ID_SIZE or _base64(raw) != encoded:
        raise BadSignature(f"note: signature by {name} is too short or not canonical base64")
    return NoteSignature(name, raw[:_KEY_ID_SIZE], raw[_KEY_ID_SIZE:])


def key_id_of(name: str, signature_type: int, public_key: bytes) -> bytes:
    """The four bytes that say, with the name, which key of which type made a signature (signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes((signature_type,)) + public_key).digest()[:_KEY_ID_SIZE]


def format_key_text(name: str, key_id: bytes, signature_type: int, key: bytes) -> str:
    """``name+hex+base64(type || key)``."""
    return f"{name}+{key_id.hex()}+{_base64(bytes((signature_type,)) + key)}"


def parse_key_text(text: str, what: str, signature_type: int = ED25519) -> tuple[str, str, bytes]:
    """(name, key id in hex, key bytes) of ``name+hex+base64(type || key)``, for keys of this one type.

    Raises ConfigError that begins with ``what``, and never shows the key.
    """
    parts = text.split("+", 2)  # The base64 may itself hold a plus sign.
    if len(parts) != 3:
        raise ConfigError(f"{what}: expected name+hash+key")
    name, key_id, encoded = parts
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ConfigError(f"{what} {name}: the key is not base64") from exc
    if len(raw) != 1 + KEY_SIZE or raw[0] != signature_type:
        raise ConfigError(f"{what} {name}: not an Ed25519 key (type 0x{signature_type:02x} and {KEY_SIZE} bytes)")
    return name, key_id, raw[1:]


def check_key_id(name: str, stated_hex: str, key_id: bytes) -> None:
    """Raise ConfigError when a key's text states another id than the key has."""
    if stated_hex != key_id.hex():
        raise ConfigError(f"key {name}: states id {stated_hex}, but has id {key_id.hex()}; was it mistyped?")


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(letter.isspace() for letter in name)


def check_key_name(name: str) -> None:
    """Raise ConfigError for a name that no signature line can hold."""
    if not _is_name(name) or any(ord(letter) < 0x20 for letter in name):
        raise ConfigError(f"key name {name!r}: must be non-empty, without spaces and plus signs")


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise MalformedInput("note: the text does not end in a newline")
    if any(letter < " " and letter != "\n" for letter in text):
        raise MalformedInput("note: the text holds a control character")


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
