"""Anchors by their settings: opened for publishing, and read for verifying."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from otel_audit.anchors import AnchorReading, ExternalAnchor, join_readings
from otel_audit.anchors.digests import read_digests
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.proofs import KIND as OPENTIMESTAMPS
from otel_audit.anchors.proofs import read_proofs
from otel_audit.anchors.settings import AnchorSettings
from otel_audit.errors import ConfigError
from otel_audit.ledger.findings import STATUS_CODES, Code
from otel_audit.ledger.trust import Trust
from otel_audit.model import Finding

_NOBODY: Final = Trust()


def open_anchor(settings: AnchorSettings, records: FileAnchor) -> ExternalAnchor:
    """The anchor of these settings; its library is loaded here. Raises ConfigError when that is not installed."""
    try:
        if settings.kind == "s3":
            from otel_audit.anchors.s3 import S3Anchor  # noqa: PLC0415 - loads boto3

            return S3Anchor(settings, records)
        if settings.kind == OPENTIMESTAMPS:
            from otel_audit.anchors.opentimestamps import OpenTimestampsAnchor  # noqa: PLC0415 - loads opentimestamps

            return OpenTimestampsAnchor(settings, records)
        from otel_audit.anchors.rfc3161 import Rfc3161Anchor  # noqa: PLC0415 - loads rfc3161-client

        return Rfc3161Anchor(settings, records)
    except ModuleNotFoundError as exc:
        extra = OPENTIMESTAMPS if settings.kind == OPENTIMESTAMPS else "anchors"
        raise ConfigError(
            f"anchor {settings.name} needs {exc.name}, which is not installed: pip install 'otel-audit[{extra}]'"
        ) from exc


def read_anchors(
    folders: Sequence[FileAnchor],
    external: Iterable[AnchorSettings] = (),
    trust: Trust = _NOBODY,
    origins: Collection[str] | None = None,
) -> AnchorReading:
    """What all anchors gave back: the folders, the timestamps and proofs in them, and every external anchor.

    ``origins`` are the ledgers that external anchors are asked for (None: all that they have). An external anchor that
    has no checkpoint of one of them is an ANCHOR_MISSING. Raises AnchorUnavailable when one does not answer: what can
    not be read must not pass for verified.
    """
    readings = [folder.read_all() for folder in folders]
    readings += [AnchorReading(digests=read_digests(folder)) for folder in folders]
    readings += _read_tokens(folders, trust.tsa_roots, origins)
    readings += [read_proofs(folder, trust.bitcoin_blocks, origins) for folder in folders]
    for settings in external:
        if settings.kind == "s3":
            from otel_audit.anchors.s3 import S3Anchor  # noqa: PLC0415 - loads boto3

            readings.append(S3Anchor(settings, None).read(origins, folders))
        readings.append(AnchorReading(findings=tuple(_missing(settings, readings, origins or ()))))
    return join_readings(readings)


def _read_tokens(
    folders: Sequence[FileAnchor], roots: Sequence[str], origins: Collection[str] | None
) -> Iterator[AnchorReading]:
    if not any(any(folder.folder.glob("*/rfc3161/*.tsr")) for folder in folders):
        return
    from otel_audit.anchors.rfc3161 import read_tokens  # noqa: PLC0415 - loads rfc3161-client

    for folder in folders:
        yield read_tokens(folder, roots, origins)


def _missing(
    settings: AnchorSettings, readings: Sequence[AnchorReading], origins: Collection[str]
) -> Iterator[Finding]:
    # Of two authorities, or sets of calendars, each must have attested something.
    evidence = {"rfc3161": f"{settings.name}.tsr", OPENTIMESTAMPS: f"{settings.name}.note.ots"}.get(settings.kind)
    have = {
        each.origin
        for reading in readings
        for each in reading.checkpoints
        if each.kind == settings.kind and evidence in {None, Path(each.source).name.partition("-")[2]}
    }
    wrong = (found for reading in readings for found in reading.findings if found.code not in STATUS_CODES)
    refused = {found.origin for found in wrong}
    for origin in sorted(set(origins) - have - refused):
        yield Finding(
            Code.ANCHOR_MISSING, origin, f"anchor {settings.name} ({settings.place}) has no checkpoint of this ledger"
        )
