"""Keys that make pseudonyms: the same value gets the same token, and nobody without the key can test a guess.

A token says which key made it, such as ``[email:k7c41d2:b0…]``. The id is derived from the key itself, so
that two installations with different keys never seem to speak of the same person.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from otel_audit.errors import ConfigError

KEY_VARIABLE: Final = "OTEL_AUDIT_PRIVACY_KEY"
KEY_FILE_VARIABLE: Final = "OTEL_AUDIT_PRIVACY_KEY_FILE"
_KEY_SIZE: Final = 32
_LEAST_SIZE: Final = 16
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}){16,}")
_EDGE: Final = "abcdef"
_HINT: Final = "make one with: openssl rand -hex 32"


@dataclass(frozen=True, slots=True)
class PseudonymKeys:
    """The current key, and older ones whose tokens are still about.

    >>> keys = PseudonymKeys((bytes(32),))
    >>> keys.token("email", "jane.roe@example.com") == keys.token("email", "jane.roe@example.com")
    True
    """

    keys: tuple[bytes, ...] = field(repr=False)
    ids: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.keys or any(len(key) < _LEAST_SIZE for key in self.keys):
            raise ConfigError(f"a privacy key is missing or shorter than {_LEAST_SIZE} bytes; {_HINT}")
        object.__setattr__(self, "ids", tuple(_key_id(key) for key in self.keys))

    @property
    def current_id(self) -> str:
        """Id of the key that new tokens are made with."""
        return self.ids[0]

    def digest(self, kind: str, value: str) -> str:
        """``k7c41d2:b0…``: key id and 20 characters of HMAC-SHA256, more than 74 bits of it."""
        return self._digest(0, kind, value)

    def token(self, kind: str, value: str) -> str:
        """The token that takes the place of a (normalised) value."""
        return f"[{kind}:{self._digest(0, kind, value)}]"

    def tokens(self, kind: str, value: str) -> list[str]:
        """All tokens the value may have had, newest key first: search for any of them after a rotation."""
        return [f"[{kind}:{self._digest(number, kind, value)}]" for number in range(len(self.keys))]

    def _digest(self, number: int, kind: str, value: str) -> str:
        message = f"{kind}\0{value}".encode(errors="surrogatepass")
        text = hmac.digest(self.keys[number], message, hashlib.sha256).hex()
        # A letter at each end: no digits of a token can ever be taken for a number of their own.
        first, last = (_EDGE[int(text[at : at + 4], 16) % 6] for at in (0, 4))
        return f"{self.ids[number]}:{first}{text[8:26]}{last}"

    def rotated(self, new_key: bytes | None = None) -> PseudonymKeys:
        """The same keys behind a new current one."""
        return PseudonymKeys((new_key or secrets.token_bytes(_KEY_SIZE), *self.keys))

    @classmethod
    def ephemeral(cls) -> PseudonymKeys:
        """A key that lasts as long as the process: tokens are safe, but join nothing beyond it."""
        return cls((secrets.token_bytes(_KEY_SIZE),))

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, *, fallback: Path | None = None
    ) -> PseudonymKeys:
        """Keys from OTEL_AUDIT_PRIVACY_KEY (hex or base64, newest first, separated by commas) or a file of them.

        With neither set: the file ``fallback``, made on first use; without one, an ephemeral key.
        Raises ConfigError for a key that can not be read.
        """
        environ = os.environ if environ is None else environ
        if text := environ.get(KEY_VARIABLE, "").strip():
            return cls(tuple(_parse_key(part, KEY_VARIABLE) for part in text.split(",")))
        if path := environ.get(KEY_FILE_VARIABLE, "").strip():
            return cls.load(Path(path))
        return cls.load_or_create(fallback) if fallback is not None else cls.ephemeral()

    @classmethod
    def load(cls, path: Path) -> PseudonymKeys:
        """Keys of a file: one a line, newest first, ``#`` begins a comment. Only its owner may be able to read it."""
        try:
            with path.open(encoding="utf-8") as file:
                if os.name == "posix" and (mode := os.fstat(file.fileno()).st_mode & 0o077):
                    raise ConfigError(
                        f"{path}: holds a secret and others may read it ({mode:04o}). Run: chmod 600 {path}"
                    )
                lines = [line.split("#")[0].strip() for line in file]
        except OSError as exc:
            raise ConfigError(f"{path}: the privacy keys can not be read: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise ConfigError(f"{path}: is no text; one key a line is expected, as hex or base64") from exc
        keys = tuple(_parse_key(line, str(path)) for line in lines if line)
        if not keys:
            raise ConfigError(f"{path}: holds no key; {_HINT}")
        return cls(keys)

    @classmethod
    def load_or_create(cls, path: Path) -> PseudonymKeys:
        """The keys of a file, made on first use. Of processes that begin at once, one makes it and all read that."""
        if not path.exists():
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write(path, cls.ephemeral(), replace=False)
            except OSError as exc:
                raise ConfigError(f"{path}: the privacy key can not be made: {exc.strerror}") from exc
        return cls.load(path)

    @classmethod
    def rotate(cls, path: Path) -> PseudonymKeys:
        """Put a new current key in front of those in the file. Processes use it from their next start on."""
        import fcntl  # noqa: PLC0415 - absent on Windows, where applications still import this module

        try:
            lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise ConfigError(f"{path}: the privacy key can not be rotated: {exc.strerror}") from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = cls.load(path).rotated()
            _write(path, keys, replace=True)
            return keys
        finally:
            os.close(lock)


def _key_id(key: bytes) -> str:
    return f"k{hmac.digest(key, b'otel-audit key id', hashlib.sha256)[:3].hex()}"


def _parse_key(text: str, where: str) -> bytes:
    text = text.strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error as exc:  # the key itself is never repeated in a message
        raise ConfigError(f"{where}: a key is neither hex nor base64; {_HINT}") from exc
    if len(key) < _LEAST_SIZE:
        raise ConfigError(f"{where}: a key has {len(key)} bytes, at least {_LEAST_SIZE} are needed; {_HINT}")
    return key


def _write(path: Path, keys: PseudonymKeys, *, replace: bool) -> None:
    """Whole or not at all, durable, 0600. Without ``replace`` a file that is there already wins."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    text = "# Keys of pseudonyms, the current one first. Whoever has them can test guesses: keep them secret.\n"
    text += "".join(f"{key.hex()}\n" for key in keys.keys)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                return
    finally:
        temporary.unlink(missing_ok=True)
