"""Timestamps and OpenTimestamps proofs as they lie beside the file anchor's records, to hand over unjudged.

``rfc3161`` and ``proofs`` judge them; this module does without a library.
"""

from __future__ import annotations

from otel_audit.anchors import AnchorReading
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.proofs import KIND as OPENTIMESTAMPS
from otel_audit.anchors.proofs import header_and_proof, proof_files
from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint


def stored_attestations(records: FileAnchor) -> AnchorReading:
    """All of both kinds with the checkpoints that they are over; no time is attested by them yet.

    Those over digests are left out: they stay where they are.
    """
    checkpoints, damaged = [], []
    tokens = [(path, "rfc3161") for path in sorted(records.folder.glob("*/rfc3161/*.tsr"))]
    for path, kind in [*tokens, *((path, OPENTIMESTAMPS) for path in proof_files(records))]:
        if path.name.startswith("digest-"):
            continue
        note_file = path.with_suffix("") if kind == OPENTIMESTAMPS else path.with_suffix(".note")
        try:
            note = note_file.read_text(encoding="utf-8")
            origin = read_checkpoint(note).origin
        except (OSError, UnicodeDecodeError, VerificationError) as exc:
            damaged.append(f"{path}: its note can not be read: {exc}")
            continue
        header, evidence = header_and_proof(path) if kind == OPENTIMESTAMPS else (b"", path.read_bytes())
        checkpoints.append(
            AnchoredCheckpoint(origin, note, str(path), kind=kind, evidence=evidence, block_header=header)
        )
    return AnchorReading(tuple(checkpoints), tuple(damaged))
