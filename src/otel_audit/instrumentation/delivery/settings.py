"""What the environment says about delivery. A setting that makes no sense is noted, and its default used."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

from otel_audit.instrumentation._faults import note
from otel_audit.instrumentation.delivery.delivery import OnFull
from otel_audit.instrumentation.delivery.spool import Fsync
from otel_audit.instrumentation.delivery.transport import Destination, Protocol

DEFAULT_ENDPOINT: Final = "http://localhost:4317"
_DEFAULT_HTTP_PORT: Final = 4318
_OURS: Final = "OTEL_AUDIT_"
_STANDARD: Final = "OTEL_EXPORTER_OTLP_"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Settings:
    """How records are kept and sent.

    ``max_bytes`` bounds the spool, ``exit_seconds`` how long the process's end may take;
    ``every_span`` says whether spans that the application sampled go along when they are no audit event.
    """

    destination: Destination
    spool: Path
    max_bytes: int
    fsync: Fsync
    on_full: OnFull
    exit_seconds: float
    every_span: bool


def read_settings(endpoint: str | None, *, standard: bool, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``OTEL_AUDIT_*``.

    ``endpoint`` comes first. With ``standard``, ``OTEL_EXPORTER_OTLP_*`` count where ours say nothing:
    where the application has exporters of its own, those are for them.
    """
    env = os.environ if environment is None else environment

    def said(name: str) -> str:
        return env.get(_OURS + name, "").strip()

    def parsed(name: str, parse: Callable[[str], _T], default: _T) -> _T:
        text = said(name)
        if not text:
            return default
        try:
            return parse(text)
        except ValueError:
            note("configure", f"{_OURS}{name} is no {getattr(parse, '__name__', 'value')}; {default} is used")
            return default

    destination = _destination(endpoint or said("ENDPOINT"), env, standard=standard)
    return Settings(
        destination=destination,
        spool=_spool_folder(said("SPOOL_DIR"), env),
        max_bytes=parsed("SPOOL_MAX_MIB", int, 256) << 20,
        fsync=parsed("SPOOL_FSYNC", Fsync, Fsync.INTERVAL),
        on_full=parsed("ON_FULL", OnFull, OnFull.DROP),
        exit_seconds=parsed("EXIT_SECONDS", float, 5.0),
        every_span=said("SPANS").lower() != "audit",
    )


def _destination(endpoint: str, env: Mapping[str, str], *, standard: bool) -> Destination:
    prefixes = (_OURS, _STANDARD) if standard else (_OURS,)

    def said(name: str) -> str:
        return next((text for prefix in prefixes if (text := env.get(prefix + name, "").strip())), "")

    endpoint = endpoint or said("ENDPOINT") or DEFAULT_ENDPOINT
    if "://" not in endpoint:
        endpoint = f"http://{endpoint}"
    given = said("PROTOCOL")
    if given in list(Protocol):
        protocol = Protocol(given)
    else:
        protocol = Protocol.HTTP if urlsplit(endpoint).port == _DEFAULT_HTTP_PORT else Protocol.GRPC
        if given:
            note("configure", f"{_OURS}PROTOCOL is none of {', '.join(Protocol)}; {protocol} is used")
    pairs = (pair.partition("=") for pair in said("HEADERS").split(",") if "=" in pair)
    return Destination(
        endpoint=endpoint,
        protocol=protocol,
        headers=tuple((unquote(name.strip()), unquote(value.strip())) for name, _, value in pairs),
        certificate=said("CERTIFICATE"),
        compress=said("COMPRESSION").lower() == "gzip",
    )


def audit_destination(settings: Settings, environment: Mapping[str, str] | None = None) -> Destination:
    """Where records of the Audit Logging signal go: ``POST <endpoint>/v1/audit``, which is HTTP whatever the rest is.

    ``OTEL_AUDIT_HTTP_ENDPOINT``, else the endpoint itself where that is HTTP, else port 4318 of its host.
    """
    env = os.environ if environment is None else environment
    endpoint = env.get(f"{_OURS}HTTP_ENDPOINT", "").strip()
    known = settings.destination
    if not endpoint:
        parts = urlsplit(known.endpoint)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        is_http = known.protocol is Protocol.HTTP
        endpoint = known.endpoint if is_http else f"{parts.scheme}://{host}:{_DEFAULT_HTTP_PORT}"
    elif "://" not in endpoint:
        endpoint = f"http://{endpoint}"
    return replace(known, endpoint=endpoint, protocol=Protocol.HTTP)


def _spool_folder(given: str, env: Mapping[str, str]) -> Path:
    if given:
        return Path(given)
    state = env.get("XDG_STATE_HOME") or (f"{env['HOME']}/.local/state" if env.get("HOME") else "")
    if state:
        folder = Path(state) / "otel-audit" / "spool"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            note("spool", f"{folder} can not be made; the spool is in the folder for temporary files")
        else:
            return folder
    folder = Path(tempfile.gettempdir()) / f"otel-audit-spool-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
