"""What an anchored checkpoint states, in words for the cover of a bundle. Nobody has judged it yet."""

from __future__ import annotations

import json
from typing import Final

from otel_audit.anchors.proofs import KIND as OPENTIMESTAMPS
from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.ledger.ots import parse_proof
from otel_audit.reports._times import clock
from otel_audit.reports.bundle.cover import AnchorFact
from otel_audit.reports.bundle.verify_bundle import Broken, read_block, read_timestamp

_KINDS: Final = {
    "file": "Copy in a folder",
    "s3": "Locked object in S3",
    "witness": "Cosigned by a witness",
    "rfc3161": "Timestamp (RFC 3161)",
    OPENTIMESTAMPS: "Bitcoin (OpenTimestamps)",
}


def anchor_fact(anchored: AnchoredCheckpoint) -> AnchorFact:
    """Say what an anchor states. One that can not be read says so: the check tells what is wrong with it."""
    kind, size = _KINDS.get(anchored.kind, anchored.kind), read_checkpoint(anchored.note).size
    try:
        if anchored.kind == OPENTIMESTAMPS:
            if not anchored.block_header:
                return AnchorFact(kind, size, "pending: in no block yet when this was made", is_pending=True)
            height, _, nanos = read_block(anchored.block_header, list(parse_proof(anchored.evidence).blocks))
            return AnchorFact(kind, size, f"in block {height:,}, there by {clock(nanos)}")
        if anchored.kind == "rfc3161":
            return AnchorFact(kind, size, f"states {clock(read_timestamp(anchored.evidence)[2])}")
        if anchored.kind == "s3" and anchored.evidence:
            until = json.loads(anchored.evidence)["object_lock_retain_until"]
            return AnchorFact(kind, size, f"locked until {_plain(until)}" if until else "not locked")
    except (Broken, VerificationError, ValueError, KeyError, TypeError) as exc:
        return AnchorFact(kind, size, f"can not be read: {exc}", is_pending=True)
    return AnchorFact(kind, size, f"of {_plain(anchored.published_at)}" if anchored.published_at else "kept elsewhere")


def _plain(instant: str) -> str:
    return f"{instant[:10]} {instant[11:19]} UTC"
