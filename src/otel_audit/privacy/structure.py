"""Texts inside texts: JSON (in JSON, in JSON), base64, and what nobody can look into."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from otel_audit.privacy.token_lists import mask_tokens

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


_MARKER: Final = "content:"
_NO_MARKERS: Final[Mapping[str, str]] = {}


class Walker(Protocol):
    """What a JSON text is walked by."""

    def name(self, text: str) -> str:
        """A key, masked."""

    def number(self, key: str, text: str) -> str | None:
        """The token for a number, or None."""

    def string(self, text: str, key: str) -> str:
        """A string, masked."""

    def blob(self, mime: str, raw: bytes) -> str:
        """The token for bytes that nobody can look into."""

    def octets(self, value: bytes) -> Any:
        """Bytes, masked: the same object when nothing was found."""


def walk_json(text: str, walker: Walker, key: str = "", markers: Mapping[str, str] = _NO_MARKERS) -> str | None:
    """A JSON text with everything in it masked: the same text when nothing was found, None when it is no JSON.

    ``markers`` gives the new name of each text that the JSON may point to.
    """
    try:
        value = _decode(text)
        masked = _walk(key, value, walker, markers)
        return text if masked is value else _format(masked)
    except (ValueError, RecursionError):  # cut off, or nested too deep: it is searched as any other text
        return None


def _walk(key: str, value: Any, walker: Walker, markers: Mapping[str, str]) -> Any:
    if type(value) is str:
        if value[:8] == _MARKER and value[8:] in markers:
            new = markers[value[8:]]
            return value if new == value[8:] else _MARKER + new
        return walker.string(value, key) if value else value
    if type(value) is Number:
        return walker.number(key, value) or value
    if type(value) is Object:
        return _walk_object(value, walker, markers)
    if isinstance(value, list):
        tokens = mask_tokens(value, _fields, lambda text: walker.string(text, ""))
        if tokens is not None:
            return _objects(tokens)
        parts = [_walk(key, item, walker, markers) for item in value]
        return value if all(new is old for new, old in zip(parts, value, strict=True)) else parts
    return value


def _fields(item: Any) -> dict[str, Any] | None:
    return dict(item) if type(item) is Object else None


def _objects(value: Any) -> Any:
    if isinstance(value, dict):
        return Object((key, _objects(item)) for key, item in value.items())
    return [_objects(item) for item in value] if isinstance(value, list) else value


def _walk_object(value: Object, walker: Walker, markers: Mapping[str, str]) -> Any:
    if len(value) == 1 and isinstance(value[0][1], str):
        ((key, text),) = value
        if key == "$bytes":  # typed JSON, docs/design/normalising.md
            return _typed_bytes(value, text, walker)
        if key == "$raw":
            return walker.blob("application/octet-stream", _raw(text))
        if key == "$content" and text in markers:
            return value if markers[text] == text else Object([(key, markers[text])])
        if key == "$double":
            return value
    items = Object((walker.name(key), _walk(key, item, walker, markers)) for key, item in value)
    unchanged = all(new[0] == old[0] and new[1] is old[1] for new, old in zip(items, value, strict=True))
    return value if unchanged else items


def _typed_bytes(value: Object, text: str, walker: Walker) -> Any:
    raw = _raw(text)
    masked = walker.octets(raw)
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
        if _HEX.fullmatch(text):
            return self._hexadecimal(text)
        raw = decoded(text)
        if raw is None:
            return text
        try:
            inner = raw.decode()
        except UnicodeDecodeError:
            mime = next((mime for magic, mime in _MAGIC if raw.startswith(magic)), "")
            if mime or (len(text) >= _LONG_BLOB and _is_mixed(text)):
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

    def _hexadecimal(self, text: str) -> str:
        """Hex that spells a text with personal data; ids and hashes never spell one."""
        try:
            raw = bytes.fromhex(text)
            inner = raw.decode()
        except ValueError:
            return text
        if not inner.isprintable() or self._redact(inner) == inner:
            return text
        return self._blob("text/plain", raw)


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
