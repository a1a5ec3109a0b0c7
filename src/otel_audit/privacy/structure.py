"""Texts inside texts: JSON (in JSON, in JSON), base64, and what nobody can look into."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any, Final, Protocol

_DATA_URI: Final = re.compile(
    r"data:([a-z]+/[a-z0-9.+-]+)?((?:;[a-z0-9=_-]+)*);base64,([A-Za-z0-9+/_=%\s-]*[A-Za-z0-9+/_=-])", re.IGNORECASE
)
_RUN: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*={0,2}")
_HEX: Final = re.compile(r"[0-9a-fA-F-]+")
_LONG_BLOB: Final = 256  # characters; what is shorter and unreadable is an id, a hash or a word
_MAGIC: Final = (
    (b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"), (b"%PDF", "application/pdf"),
    (b"PK\x03\x04", "application/zip"), (b"\x1f\x8b\x08", "application/gzip"), (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"), (b"fLaC", "audio/flac"),
)  # fmt: skip


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


class Object(list[tuple[str, Any]]):
    """A JSON object with all its keys, also those that are there twice."""


_decode: Final = json.JSONDecoder(
    object_pairs_hook=Object, parse_float=Number, parse_int=Number, parse_constant=Number
).decode


class _Walker(Protocol):
    def name(self, text: str) -> str: ...
    def number(self, key: str, text: str) -> str | None: ...
    def _redact_value(self, text: str, key: str) -> str: ...
    def _blob(self, mime: str, raw: bytes) -> str: ...


def walk_json(text: str, walker: _Walker) -> str | None:
    """A JSON text with everything in it masked: the same text when nothing was found, None when it is no JSON."""
    try:
        value = _decode(text)
        masked = _walk("", value, walker)
        return text if masked is value else _format(masked)
    except (ValueError, RecursionError):  # cut off, or nested too deep: it is searched as any other text
        return None


def _walk(key: str, value: Any, walker: _Walker) -> Any:
    if type(value) is str:
        return walker._redact_value(value, key) if value else value  # noqa: SLF001 - the other half of one engine
    if type(value) is Number:
        return walker.number(key, value) or value
    if type(value) is Object:
        return _walk_object(value, walker)
    if isinstance(value, list):
        parts = [_walk(key, item, walker) for item in value]
        return value if all(new is old for new, old in zip(parts, value, strict=True)) else parts
    return value


def _walk_object(value: Object, walker: _Walker) -> Any:
    if len(value) == 1 and isinstance(value[0][1], str):
        ((key, text),) = value
        if key == "$bytes":  # typed JSON, docs/design/normalising.md
            return _typed_bytes(value, text, walker)
        if key == "$raw":
            return walker._blob("application/octet-stream", _raw(text))  # noqa: SLF001 - as above
        if key == "$content":
            return value
    items = Object((walker.name(key), _walk(key, item, walker)) for key, item in value)
    unchanged = all(new[0] == old[0] and new[1] is old[1] for new, old in zip(items, value, strict=True))
    return value if unchanged else items


def _typed_bytes(value: Object, text: str, walker: _Walker) -> Any:
    raw = _raw(text)
    masked = walker._bytes(raw)  # type: ignore[attr-defined]  # noqa: SLF001 - as above
    if masked is raw:
        return value
    return masked if isinstance(masked, str) else Object([("$bytes", base64.b64encode(masked).decode())])


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return text.encode(errors="replace")


_quote: Final = json.JSONEncoder(ensure_ascii=False).encode


def _format(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Object):
        return "{" + ",".join(f"{_quote(key)}:{_format(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_format, value)) + "]"
    return _quote(value)


class Blobs:
    """Masks base64: text in it as any text, what is no text as a whole."""

    def __init__(self, blob: Callable[[str, bytes], str], redact: Callable[[str], str]) -> None:
        self._blob = blob
        self._redact = redact

    def mask(self, text: str) -> str:
        """A text with its base64 masked."""
        if ";base64," in text:
            text = _DATA_URI.sub(self._data_uri, text)
        return _RUN.sub(self._run, text)

    def _data_uri(self, match: re.Match[str]) -> str:
        raw = decoded(re.sub(r"%3[dD]", "=", match[3]))
        mime = (match[1] or "text/plain").lower()
        if raw is None:
            return self._blob(mime, match[3].encode())
        if mime.startswith("text/") or mime == "application/json":
            return match[0]  # seen by the next step
        return self._blob(mime, raw)

    def _run(self, match: re.Match[str]) -> str:
        text = match[0]
        if len(text) < _LONG_BLOB and _HEX.fullmatch(text):
            return text
        raw = decoded(text)
        if raw is None:
            return text
        try:
            inner = raw.decode()
        except UnicodeDecodeError:
            mime = next((mime for magic, mime in _MAGIC if raw.startswith(magic)), "")
            if mime or (len(text) >= _LONG_BLOB and not _HEX.fullmatch(text) and _is_mixed(text)):
                return self._blob(mime or "application/octet-stream", raw)
            latin = raw.decode("latin-1")
            return (
                text if len(text) < 24 or self._redact(latin) == latin else self._blob("application/octet-stream", raw)
            )
        masked = self._redact(inner)
        if masked == inner:
            return text
        encoded = (base64.urlsafe_b64encode if "-" in text or "_" in text else base64.b64encode)(
            masked.encode()
        ).decode()
        return encoded if text.endswith("=") or len(text) % 4 == 0 else encoded.rstrip("=")


def _is_mixed(text: str) -> bool:
    """Upper case, lower case and digits: base64 of that length has all, a path or a long word has not."""
    return any(map(str.isupper, text)) and any(map(str.islower, text)) and any(map(str.isdigit, text))


def decoded(text: str) -> bytes | None:
    """The bytes of base64 or base64url, with or without padding; None for text that is neither."""
    compact = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    if len(compact) % 4 == 1:
        return None
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except binascii.Error:
        return None
