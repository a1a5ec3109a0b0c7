"""Makes the digest over all ledgers of the store: once a day, and when somebody asks."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Final

from otel_audit.anchors.digests import keep_digest, newest_digest
from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import read_checkpoint
from otel_audit.ledger.digest import Digest, Tip, sign_digest
from otel_audit.receiver.open_ledger import OpenLedger

_LOG: Final = logging.getLogger(__name__)
_DAY_SECONDS: Final = 86_400


def make_digest(ledger: OpenLedger, now_unix_nano: int | None = None) -> Digest | None:
    """Sign a digest, and keep it beside the file anchor's records; None while no ledger has a checkpoint.

    Only one thread at a time may ask. Raises StoreError, LedgerConflict or OSError.
    """
    now = time.time_ns() if now_unix_nano is None else now_unix_nano
    made_at = datetime.fromtimestamp(now // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    records, origin = FileAnchor(ledger.anchor_dir), ledger.sequencer.origin

    def make() -> Digest | None:  # on the writer's thread: there the signing keys are those in use
        tips = tuple(tip for note, count in ledger.writer.tips() if (tip := _tip(note, count)) is not None)
        if not tips:
            return None
        number, previous, _ = newest_digest(records, origin)
        digest = Digest(origin, number + 1, previous, made_at, tips)
        note = sign_digest(digest, ledger.checkpointer.signers)
        keep_digest(records, digest, note)
        ledger.anchoring.publish_digest(note, digest)
        return digest

    return ledger.sequencer.perform(make).result()


def make_daily_digest(ledger: OpenLedger, now_unix_nano: int) -> None:
    """Make a digest when the newest one is a day old, or none is there."""
    newest = newest_digest(FileAnchor(ledger.anchor_dir), ledger.sequencer.origin)[2]
    age = now_unix_nano / 1e9 - newest
    if not 0 <= age < _DAY_SECONDS:
        make_digest(ledger, now_unix_nano)


def _tip(note: str, entry_count: int) -> Tip | None:
    try:
        read_checkpoint(note)
    except VerificationError as exc:
        _LOG.error("a stored checkpoint can not be read, so that the digest lacks its ledger; run verify: %s", exc)
        return None
    return Tip(note, entry_count)
