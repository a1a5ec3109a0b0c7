"""Access tokens: who may sign in to the dashboard, as what, until when. Only a secret's SHA-256 is kept.

The file is written whole or not at all, readable by its owner alone, and one writer at a time holds its lock.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from otel_audit.errors import ConfigError
from otel_audit.model import Filter
from otel_audit.store.filters import NO_SCOPE
from otel_audit.store.folder import only_writer, private_text, write_whole

_PREFIX: Final = "oat_"  # a scanner of repositories and logs can find one that was lost
_SECRET_BYTES: Final = 32
_MAX_NAME: Final = 200
_EVERYTHING: Final = Filter()


class Role(StrEnum):
    """What somebody is to the audit trail; ``dashboard/roles.py`` says what each may do."""

    COMPLIANCE = "compliance"
    ENGINEER = "engineer"
    PRODUCT = "product"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """One token. Times are nanoseconds since 1970; ``revoked_unix_nano`` is 0 while it is not revoked."""

    id: str
    name: str
    role: Role
    sha256_hex: str
    created_unix_nano: int
    expires_unix_nano: int
    revoked_unix_nano: int = 0
    scope: Filter = _EVERYTHING

    def is_valid(self, now_unix_nano: int) -> bool:
        """Whether it may still be used."""
        return not self.revoked_unix_nano and now_unix_nano < self.expires_unix_nano


class TokenFile:
    """The tokens of one file. Safe to share between threads; a change by another process is seen at the next call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()  # guards what was read
        self._read: tuple[tuple[int, int, int], list[AccessToken]] | None = None

    def all(self) -> list[AccessToken]:
        """Every token that was ever made. Raises ConfigError when the file is damaged, or others can read it."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise ConfigError(f"{self.path}: the access tokens can not be read: {exc.strerror}") from exc
        version = (found.st_ino, found.st_mtime_ns, found.st_mode)
        with self._lock:
            if self._read is None or self._read[0] != version:
                self._read = version, self._parsed()
            return self._read[1]

    def create(
        self, name: str, role: Role, expires_unix_nano: int, scope: Filter, now_unix_nano: int
    ) -> tuple[str, AccessToken]:
        """Make a token; the secret, which is returned with it, is known to nobody afterwards.

        Raises ConfigError for a name, a time or a scope that can not be.
        """
        if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
            raise ConfigError(
                f"name {name!r}: must be 1 to {_MAX_NAME} printable characters. It is who did it, in the record"
            )
        if expires_unix_nano <= now_unix_nano:
            raise ConfigError("a token must expire in the future")
        if wrong := [each for each in scope_values(scope) if each in NO_SCOPE]:
            raise ConfigError(f"{', '.join(wrong)}: a scope can not be made of this; it says what single entries have")
        secret = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        made = AccessToken(
            secrets.token_hex(4), name.strip(), role, _digest(secret), now_unix_nano, expires_unix_nano, scope=scope
        )
        with self._changing():
            self._write([*self.all(), made])
        return secret, made

    def revoke(self, token_id: str, now_unix_nano: int) -> AccessToken:
        """End a token now; one that is ended already stays as it is. Raises ConfigError when there is none."""
        with self._changing():
            tokens = self.all()
            found = self.by_id(token_id)
            if found is None:
                raise ConfigError(f"there is no token {token_id!r}; `otel-audit token list` has their ids")
            ended = found if found.revoked_unix_nano else replace(found, revoked_unix_nano=now_unix_nano)
            self._write([ended if each is found else each for each in tokens])
        return ended

    def of_secret(self, secret: str) -> AccessToken | None:
        """The token of a secret, also one that has ended. Every token is compared, each in constant time."""
        digest, found = _digest(secret), None
        for each in self.all():
            if hmac.compare_digest(each.sha256_hex, digest):
                found = each
        return found

    def by_id(self, token_id: str) -> AccessToken | None:
        """The token with this id, also one that has ended."""
        return next((each for each in self.all() if each.id == token_id), None)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with only_writer(self.path.parent):
                yield
        except OSError as exc:
            raise ConfigError(f"{self.path}: the access tokens can not be written: {exc.strerror}") from exc

    def _write(self, tokens: list[AccessToken]) -> None:
        written = [asdict(each) | {"scope": scope_values(each.scope)} for each in tokens]
        write_whole(self.path, json.dumps({"tokens": written}, indent=2) + "\n", replace=True)

    def _parsed(self) -> list[AccessToken]:
        try:
            listed = json.loads(private_text(self.path))["tokens"]
            return [_token(each) for each in listed]
        except OSError as exc:
            raise ConfigError(f"{self.path}: the access tokens can not be read: {exc.strerror}") from exc
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise ConfigError(
                f"{self.path}: is no file of access tokens: {exc}. Nobody can sign in until it is"
            ) from exc


def scope_values(scope: Filter) -> dict[str, Any]:
    """What a scope sets, by the names of ``Filter``."""
    return {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in fields(scope)
        if (value := getattr(scope, field.name)) != getattr(_EVERYTHING, field.name)
    }


def _token(values: Mapping[str, Any]) -> AccessToken:
    numbers = {name: values[name] for name in ("created_unix_nano", "expires_unix_nano", "revoked_unix_nano")}
    texts = {name: values[name] for name in ("id", "name", "sha256_hex")}
    if not all(type(value) is int for value in numbers.values()) or not all(map(_is_text, texts.values())):
        raise ValueError("a field has another type than expected")
    return AccessToken(role=Role(values["role"]), scope=_scope(values["scope"]), **numbers, **texts)


def _scope(values: Mapping[str, Any]) -> Filter:
    """The scope that ``scope_values`` wrote. What is not understood is an error: skipping it would widen the scope."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        default = getattr(_EVERYTHING, name)
        is_list = isinstance(value, list) and bool(value) and all(map(_is_text, value))
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = _is_text(value) if isinstance(default, str) else is_list if isinstance(default, tuple) else is_number
        if not fits:
            raise ValueError(f"scope {name}: {value!r} can not be")
        found[name] = tuple(value) if is_list else value
    return Filter(**found)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
