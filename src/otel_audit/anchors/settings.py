"""Which anchors there are: tables of a TOML file, or of a trust file's ``anchors``.

    [[anchors]]
    kind = "s3"
    bucket = "audit-anchors"
    retain_days = 2555

    [[anchors]]
    kind = "rfc3161"
    url = "https://tsa.example.com"

    [[anchors]]
    kind = "opentimestamps"
    calendars = ["https://a.pool.opentimestamps.org"]
    hashes = "https://blockstream.info/api/block-height/{height}"
    headers = "https://blockstream.info/api/block/{hash}/header"

Credentials are never part of it: boto3 finds them in the environment, and the others need none.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from otel_audit.errors import ConfigError

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
_UNSAFE: Final = re.compile(r"[^a-z0-9]+")
# Of each kind: its fields besides kind, name and every_seconds; those that it needs; seconds between publications.
_KINDS: Final[Mapping[str, tuple[frozenset[str], frozenset[str], float]]] = {
    "s3": (
        frozenset({"bucket", "endpoint", "region", "prefix", "retain_days"}),
        frozenset({"bucket", "retain_days"}),
        60.0,
    ),
    "rfc3161": (frozenset({"url"}), frozenset({"url"}), 900.0),
    "opentimestamps": (
        frozenset({"calendars", "headers", "hashes"}),
        frozenset({"calendars", "headers"}),
        86_400.0,
    ),
}
_LONGEST_RETENTION_DAYS: Final = 36_500  # S3 Object Lock: 100 years


@dataclass(frozen=True, slots=True)
class AnchorSettings:
    """One anchor. ``every_seconds`` is the shortest time between two checkpoints that it gets.

    ``headers`` is where the headers of Bitcoin's blocks come from: a folder, or a URL with ``{height}`` or ``{hash}``
    in it; for the latter, ``hashes`` is a URL with ``{height}`` that gives the hash.
    """

    kind: str
    name: str
    every_seconds: float
    bucket: str = ""
    endpoint: str = ""
    region: str = ""
    prefix: str = ""
    retain_days: int = 0
    url: str = ""
    calendars: tuple[str, ...] = ()
    headers: str = ""
    hashes: str = ""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return self.url or ", ".join(self.calendars) or f"{self.endpoint or 's3:/'}/{self.bucket}/{self.prefix}"


def load_anchors(path: Path) -> tuple[AnchorSettings, ...]:
    """Read a TOML file of ``[[anchors]]`` tables. Raises ConfigError with what is wrong and where."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError(f"{path}: can not be read as an anchors file: {exc}") from exc
    if document.keys() != {"anchors"} or not isinstance(document["anchors"], list):
        raise ConfigError(f"{path}: expected [[anchors]] tables, and nothing else")
    return parse_anchors(document["anchors"], str(path))


def parse_anchors(tables: Iterable[Mapping[str, Any]], where: str) -> tuple[AnchorSettings, ...]:
    """Read tables as the module describes them. Raises ConfigError that begins with ``where``."""
    parsed: dict[str, AnchorSettings] = {}
    for number, table in enumerate(tables, 1):
        settings = _parse(table, f"{where}: anchor {number}")
        if settings.name in parsed:
            raise ConfigError(f"{where}: anchor {number}: the name {settings.name!r} is taken; give it another name")
        parsed[settings.name] = settings
    return tuple(parsed.values())


def _parse(table: Mapping[str, Any], where: str) -> AnchorSettings:
    kind = str(table.get("kind", ""))
    if kind not in _KINDS:
        raise ConfigError(f"{where}: kind {kind!r} is not known; there are {', '.join(_KINDS)}")
    fields, needed, rhythm = _KINDS[kind]
    allowed = fields | {"kind", "name", "every_seconds"}
    if unknown := sorted(table.keys() - allowed):
        raise ConfigError(f"{where}: {kind} has no setting {unknown[0]!r}; there are {', '.join(sorted(allowed))}")
    if missing := sorted(needed - table.keys()):
        raise ConfigError(f"{where}: {kind} needs {missing[0]}")
    for field in fields - {"retain_days", "calendars"}:
        if not isinstance(table.get(field, ""), str):
            raise ConfigError(f"{where}: {field} {table[field]!r} is no text")
    for field in ("url", "endpoint"):
        if text := table.get(field, ""):
            _check_url(text, f"{where}: {field}")
    days = table.get("retain_days", 0)
    if "retain_days" in needed and (type(days) is not int or not 1 <= days <= _LONGEST_RETENTION_DAYS):
        raise ConfigError(f"{where}: retain_days {days!r} is no number of days from 1 to {_LONGEST_RETENTION_DAYS}")
    every = table.get("every_seconds", rhythm)
    if not isinstance(every, int | float) or isinstance(every, bool) or not 1 <= every <= 86_400:
        raise ConfigError(f"{where}: every_seconds {every!r} is no number of seconds from 1 to 86400")
    named = table.get("bucket") or urlsplit(table.get("url", "")).hostname or ""
    name = table.get("name", f"{kind}-{_UNSAFE.sub('-', str(named).lower())}".strip("-"))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: name {name!r}: use lower-case letters, digits and hyphens")
    given = {field: table[field] for field in fields if field in table}
    if kind == "opentimestamps":
        given["calendars"] = _calendars(table["calendars"], where)
        _check_header_source(given["headers"], given.get("hashes", ""), where)
    return AnchorSettings(kind=kind, name=name, every_seconds=float(every), **given)


def _calendars(given: Any, where: str) -> tuple[str, ...]:
    calendars = [given] if isinstance(given, str) else given
    if not isinstance(calendars, list) or not calendars or not all(isinstance(each, str) for each in calendars):
        raise ConfigError(f"{where}: calendars {given!r} is no list of URLs")
    for each in calendars:
        _check_url(each, f"{where}: calendar")
    return tuple(calendars)


def _check_header_source(headers: str, hashes: str, where: str) -> None:
    for field, text in (("headers", headers), ("hashes", hashes)):
        if "://" in text:
            _check_url(text, f"{where}: {field}")
    if "://" not in headers:
        if hashes or "{" in headers or not headers:
            raise ConfigError(f"{where}: headers {headers!r} is no folder; a folder has no {{height}} and no hashes")
    elif ("{hash}" in headers) != ("{height}" in hashes) or ("{hash}" not in headers and "{height}" not in headers):
        raise ConfigError(
            f"{where}: headers {headers!r} needs {{height}}; or {{hash}}, with a URL with {{height}} as hashes"
        )


def _check_url(text: str, where: str) -> None:
    parts = urlsplit(text)
    if parts.username or parts.password:
        raise ConfigError(f"{where}: holds a user or password; give credentials by the environment instead")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"{where} {text!r} is no http or https URL")
