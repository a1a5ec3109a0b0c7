"""Timestamps as they lie beside the file anchor's records, to hand over: nobody has judged them yet.

``rfc3161`` judges them; this module does without its library.
"""

from __future__ import annotations

from otel_audit.anchors import AnchorReading
from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint


def stored_tokens(records: FileAnchor) -> AnchorReading:
    """All timestamps with the notes that they are over; no time is attested by them yet."""
    checkpoints, damaged = [], []
    for path in sorted(records.folder.glob("*/rfc3161/*.tsr")):
        try:
            note = path.with_suffix(".note").read_text(encoding="utf-8")
            origin = read_checkpoint(note).origin
        except (OSError, UnicodeDecodeError, VerificationError) as exc:
            damaged.append(f"{path}: its note can not be read: {exc}")
            continue
        checkpoints.append(AnchoredCheckpoint(origin, note, str(path), kind="rfc3161", evidence=path.read_bytes()))
    return AnchorReading(tuple(checkpoints), tuple(damaged))
