"""Content that an application uploaded elsewhere and only points to: read and hashed where the policy allows it.

The official upload hook leaves ``gen_ai.input.messages_ref`` and the like: a URI. What cannot be checked is stored
as ``reference_unverified``; nothing is ever read that does not lie under a prefix of ``fetch_references``.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import stat
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import unquote, urlsplit

from otel_audit.errors import ConfigError
from otel_audit.model import AuditEvent

# https://github.com/open-telemetry/opentelemetry-python-contrib, util/opentelemetry-util-genai: the upload hook
REFERENCE_KEYS: Final = frozenset(
    {
        "gen_ai.input.messages_ref",
        "gen_ai.output.messages_ref",
        "gen_ai.system_instructions_ref",
        "gen_ai.tool.definitions_ref",
    }
)
# Name of the text that holds a hash. A text, not a column: an unsalted hash of a short text can be guessed,
# is personal data, and has to be erasable.
HASH_PREFIX: Final = "content_reference_sha256."
MAX_BYTES: Final = 16 << 20
MAX_SECONDS: Final = 2.0  # for all references of a request together: the producer waits for its answer meanwhile
_REMEMBERED: Final = 4096
_WORKERS: Final = 4
_SHA256: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_TRAVERSAL: Final = re.compile(r"(?:^|[/\\])\.\.?(?:[/\\]|$)|[\\\x00-\x1f]")

VERIFIED: Final = "reference_verified"  # the name holds the SHA-256 of what was read
HASHED: Final = "reference_hashed"  # read, and its hash kept; the name says nothing of it
MISMATCH: Final = "reference_mismatch"  # the name holds another SHA-256: what lies there is not what was uploaded
UNVERIFIED: Final = "reference_unverified"  # not allowed, not there (yet), too large or too slow


class _Refused(Exception):
    """A reference that may not or can not be read."""


class References:
    """Checks the references of events. Safe to share between threads; ``close`` ends its own."""

    def __init__(
        self,
        prefixes: Sequence[str],
        *,
        max_bytes: int = MAX_BYTES,
        max_seconds: float = MAX_SECONDS,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._prefixes = tuple(prefixes)
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._opener = urllib.request.build_opener(
            _NoRedirects, urllib.request.HTTPSHandler(context=ssl_context or ssl.create_default_context())
        )
        self._s3: Any = None
        if any(prefix.startswith("s3://") for prefix in prefixes):
            self._s3 = _s3_client(max_seconds)
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="references") if prefixes else None
        # URI -> SHA-256: a retry finds what the first try found. A lost update costs a second read.
        self._known: dict[str, str] = {}

    def check(self, events: Sequence[AuditEvent]) -> None:
        """Remark each event that has references, and add the hashes of what could be read to its texts."""
        found = [(event, pairs) for event in events if (pairs := _references(event))]
        if not found:
            return
        hashes = self._hashes({uri for _, pairs in found for _, uri in pairs})
        for event, pairs in found:
            remarks = list(event.columns.get("remarks", ()))
            for key, uri in pairs:
                digest = hashes.get(uri)
                remark = UNVERIFIED
                if digest is not None:
                    event.content[f"{HASH_PREFIX}{key}"] = digest
                    named = _SHA256.findall(uri.rpartition("/")[2].lower())
                    remark = HASHED if not named else VERIFIED if digest in named else MISMATCH
                if remark not in remarks:
                    remarks.append(remark)
            event.columns["remarks"] = remarks

    def close(self) -> None:
        """Wait for no more than what is being read."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _hashes(self, uris: set[str]) -> dict[str, str]:
        hashes = {uri: self._known[uri] for uri in uris if uri in self._known}
        pending: dict[Future[str], str] = {
            self._pool.submit(self._hash, uri, prefix): uri
            for uri in uris - hashes.keys()
            if self._pool is not None and (prefix := self._allowed(uri)) is not None
        }
        done, late = wait(pending, timeout=self._max_seconds)
        for future in late:
            future.cancel()
        for future in done:
            if future.exception() is None:
                hashes[pending[future]] = future.result()
        return hashes

    def _allowed(self, uri: str) -> str | None:
        """The prefix that a URI lies under, or None."""
        decoded = unquote(unquote(uri))
        if _TRAVERSAL.search(decoded) or "?" in uri or "#" in uri or "@" in uri.partition("://")[2].partition("/")[0]:
            return None
        return next((prefix for prefix in self._prefixes if uri.startswith(prefix)), None)

    def _hash(self, uri: str, prefix: str) -> str:
        scheme = urlsplit(uri).scheme
        if scheme == "file":
            raw = self._read_file(uri, prefix)
        elif scheme == "s3":
            raw = self._read_s3(uri)
        else:
            with self._opener.open(uri, timeout=self._max_seconds) as answer:
                raw = answer.read(self._max_bytes + 1)
        if len(raw) > self._max_bytes:
            raise _Refused("too large")
        digest = hashlib.sha256(raw).hexdigest()
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[uri] = digest
        return digest

    def _read_file(self, uri: str, prefix: str) -> bytes:
        base = Path(unquote(urlsplit(prefix).path)).resolve(strict=True)
        path = Path(unquote(urlsplit(uri).path)).resolve(strict=True)
        if not path.is_relative_to(base):
            raise _Refused("a link leads out of the folder")
        # Resolved: a link that is put in its place from here on is not followed. A pipe would keep us waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _Refused("no file")
            return file.read(self._max_bytes + 1)

    def _read_s3(self, uri: str) -> bytes:
        parts = urlsplit(uri)
        body = self._s3.get_object(Bucket=parts.netloc, Key=unquote(parts.path.lstrip("/")))["Body"]
        try:
            raw: bytes = body.read(self._max_bytes + 1)
            return raw
        finally:
            body.close()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect leads who knows where."""

    def redirect_request(self, *_: Any) -> NoReturn:
        raise _Refused("redirected")


def _references(event: AuditEvent) -> list[tuple[str, str]]:
    """The attributes that point to content, and where to. A long URI has become a text."""
    found = []
    for key, text in event.columns.get("attributes", ()):
        if key in REFERENCE_KEYS:
            name = text.removeprefix("content:")
            found.append((key, event.content.get(name, text) if name != text else text))
    return found


def is_reference_hash(name: str) -> bool:
    """Whether a text is a hash that the receiver added: no part of what was sent."""
    return name.startswith(HASH_PREFIX)


def without_hashes(content: Mapping[str, Any]) -> dict[str, Any]:
    """Content as it was sent."""
    return {name: value for name, value in content.items() if not name.startswith(HASH_PREFIX)}


def _s3_client(max_seconds: float) -> Any:
    try:
        import boto3  # noqa: PLC0415 - an optional extra
        from botocore.config import Config  # noqa: PLC0415 - with it
    except ImportError as exc:
        raise ConfigError("capture policy: fetch_references names s3://, which needs: pip install boto3") from exc
    config = Config(connect_timeout=max_seconds, read_timeout=max_seconds, retries={"max_attempts": 1})
    return boto3.client("s3", config=config)
