"""The HTTP side of the front: ClickHouse's parameters, compression and error texts."""

from __future__ import annotations

import base64
import binascii
import hmac
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol

from starlette.requests import ClientDisconnect, Request

from otel_audit.store._front_sql import SYNTAX_ERROR, Refused, check_setting_name

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

lz4: Any = import_module("lz4.frame") if find_spec("lz4") else None  # from Python 3.14 on the driver does without it

REQUIRED_PASSWORD: Final = 194
AUTHENTICATION_FAILED: Final = 516
TOO_MANY_QUERIES: Final = 202
TOO_LARGE: Final = 307  # TOO_MANY_BYTES
UNKNOWN: Final = 1002
_STATUS: Final = {
    SYNTAX_ERROR: 400,
    REQUIRED_PASSWORD: 401,
    AUTHENTICATION_FAILED: 403,
    497: 403,
    164: 403,
    60: 404,
    81: 404,
    TOO_LARGE: 413,
    TOO_MANY_QUERIES: 503,
}
# Parameters of the HTTP interface itself: they mean nothing to the engine, which would refuse them.
_TRANSPORT: Final = frozenset(
    {"buffer_size", "cancel_http_readonly_queries_on_client_close", "client_protocol_version", "compress", "database"}
    | {"decompress", "default_format", "enable_http_compression", "http_headers_progress_interval_ms", "query"}
    | {"query_id", "quota_key", "role", "send_progress_in_http_headers", "session_check", "session_id"}
    | {"session_timeout", "wait_end_of_query"}
)


class Compressor(Protocol):
    """Compresses a stream piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """Take the next piece."""

    def flush(self) -> bytes:
        """End the stream."""


class _Lz4Frame:
    def __init__(self) -> None:
        self._compressor = lz4.LZ4FrameCompressor()
        self._started = False

    def compress(self, data: bytes, /) -> bytes:
        start = b"" if self._started else self._compressor.begin()
        self._started = True
        return bytes(start + self._compressor.compress(data))

    def flush(self) -> bytes:
        return self.compress(b"") + bytes(self._compressor.flush())


_COMPRESSORS: Final[dict[str, Callable[[], Compressor]]] = {
    "zstd": lambda: zstd.ZstdCompressor(level=1),
    "gzip": lambda: zlib.compressobj(level=1, wbits=31),
}
_DECOMPRESSORS: Final[dict[str, Callable[[], Any]]] = {
    "zstd": zstd.ZstdDecompressor,
    "gzip": lambda: zlib.decompressobj(wbits=31),
}
if lz4:
    _COMPRESSORS["lz4"] = _Lz4Frame
    _DECOMPRESSORS["lz4"] = lz4.LZ4FrameDecompressor


@dataclass(frozen=True, slots=True)
class Call:
    """One request, taken apart. ``body`` is what followed the parameters: a query, or rows to insert."""

    query: str
    body: bytes
    database: str | None
    bindings: dict[str, str]  # param_name -> value, escaped as ClickHouse sends it
    settings: dict[str, str]
    default_format: str | None
    encoding: str | None
    may_write: bool

    def compressor(self) -> Compressor | None:
        """What the answer is compressed with, if the client wants that."""
        return _COMPRESSORS[self.encoding]() if self.encoding else None


def presented_token(request: Request) -> str | None:
    """The token of the request: the password of Basic authentication, or X-ClickHouse-Key. None: none was given."""
    if (key := request.headers.get("x-clickhouse-key")) is not None:
        return key
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def same_token(presented: str, expected: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(presented.encode(), expected.encode())


async def read_call(request: Request, max_bytes: int, *, may_write: bool) -> Call:
    """Take a request apart. Raises Refused for what can not be read or is larger than ``max_bytes``."""
    body = await _read_body(request, max_bytes)
    parameters = dict(request.query_params)
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        parameters |= _form_fields(content_type, body)
        body = b""
    settings = {
        name: value for name, value in parameters.items() if name not in _TRANSPORT and not name.startswith("param_")
    }
    for name in settings:
        check_setting_name(name)
    wants_compression = parameters.get("enable_http_compression", "0") in {"1", "true"}
    accepted = [part.partition(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")]
    return Call(
        query=parameters.get("query", ""),
        body=body,
        database=parameters.get("database") or None,
        bindings={name: value for name, value in parameters.items() if name.startswith("param_")},
        settings=settings,
        default_format=parameters.get("default_format") or request.headers.get("x-clickhouse-format"),
        encoding=next((name for name in accepted if name in _COMPRESSORS), None) if wants_compression else None,
        may_write=may_write,
    )


def error_status(code: int) -> int:
    """HTTP status for a ClickHouse error code."""
    return _STATUS.get(code, 500)


def error_text(code: int, message: str) -> str:
    """What ClickHouse writes for an error."""
    message = message.strip()
    return message + "\n" if message.startswith("Code: ") else f"Code: {code}. DB::Exception: {message}.\n"


def exception_block(tag: str, text: str) -> bytes:
    """How an error is told in the middle of an answer: the tag was announced in a header (ClickHouse 25.11)."""
    message = text.encode()
    return b"__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (tag.encode(), message, len(message), tag.encode())


async def _read_body(request: Request, max_bytes: int) -> bytes:
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in {"identity", *_DECOMPRESSORS}:
        raise Refused(f"Content-Encoding {encoding[:40]} is not supported", SYNTAX_ERROR)
    raw = bytearray()
    try:
        async for piece in request.stream():
            raw += piece
            if len(raw) > max_bytes:
                raise _too_large(max_bytes)
    except ClientDisconnect as exc:
        raise Refused("The client went away in the middle of its request", UNKNOWN) from exc
    if encoding == "identity":
        return bytes(raw)
    try:
        return _decompressed(bytes(raw), _DECOMPRESSORS[encoding], max_bytes)
    except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as exc:
        raise Refused(f"The body is not valid {encoding}: {exc}", SYNTAX_ERROR) from exc


def _decompressed(raw: bytes, start: Callable[[], Any], max_bytes: int) -> bytes:
    """Decompress every frame of ``raw``: the driver sends one for each block."""
    out = bytearray()
    while raw:
        frame = start()
        out += frame.decompress(raw, max_bytes + 1 - len(out))
        if len(out) > max_bytes:
            raise _too_large(max_bytes)
        if not frame.eof:
            raise EOFError("it ends in the middle")
        raw = frame.unused_data or b""
    return bytes(out)


def _too_large(max_bytes: int) -> Refused:
    return Refused(f"The request is larger than {max_bytes} bytes", TOO_LARGE)


def _form_fields(content_type: str, body: bytes) -> dict[str, str]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    fields = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str) or part.get_filename() is not None:
            raise Refused("External data is not supported", SYNTAX_ERROR)
        payload = part.get_payload(decode=True)
        fields[name] = _text(payload if isinstance(payload, bytes) else b"")
    return fields


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise Refused("The query is not valid UTF-8", SYNTAX_ERROR) from exc


def query_text(call: Call) -> str:
    """The query of a call that carries no rows: from its parameters or its body."""
    if call.query and call.body.strip():
        raise Refused("The query is given twice, in the URL and in the body", SYNTAX_ERROR)
    return call.query or _text(call.body)
