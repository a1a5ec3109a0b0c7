"""The captured OTLP requests of tests/fixtures/otlp, decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from otel_audit.model import AuditEvent
from otel_audit.receiver.decode import Decoded, Decoder

FIXTURES = Path(__file__).parents[1] / "fixtures"
CAPTURES = FIXTURES / "otlp"
RECEIVED = 1_795_500_000_000_000_000  # 2026-11-24: a day after the captures
DECODER = Decoder(b"conformance" * 3)


def folders() -> list[str]:
    """Names of the capture folders: one a package."""
    return sorted(path.name for path in CAPTURES.iterdir() if path.is_dir())


def requests(folder: str) -> list[tuple[str, str, bytes]]:
    """(file name, ``traces`` or ``logs``, body) of a folder's captures, in the order they were sent."""

    def position(path: Path) -> tuple[str, int]:
        prefix, number = re.fullmatch(r"(.*?)-?(\d+)\..*", path.name).groups()
        return prefix, int(number)

    paths = sorted((CAPTURES / folder).glob("*.pb"), key=position)
    return [(path.name, "logs" if ".logs." in path.name else "traces", path.read_bytes()) for path in paths]


def decode(kind: str, body: bytes) -> Decoded:
    """A capture as the receiver decodes it."""
    return (DECODER.traces if kind == "traces" else DECODER.logs)(body, RECEIVED)


def events(folder: str) -> Iterator[AuditEvent]:
    """Every event of a folder's captures."""
    for _, kind, body in requests(folder):
        yield from decode(kind, body).events
