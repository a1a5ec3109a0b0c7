"""Rotating a ledger's signing key, so that a crash at any step leaves a ledger that verifies and a rotation to finish.

0. The new key is written to a file beside the one in use.
1. From now on checkpoints are signed by both keys.
2. The ``key_rotation`` entry is committed: a statement that both keys signed.
3. The anchor folder takes the new key, with the statement as proof.
4. A checkpoint that covers the entry is sealed, signed by both, so that whoever holds only the old key accepts it.
5. The new key's file takes the place of the old one, whose secret half is gone; the new key signs alone.

After a crash before 2 nothing has happened: the new key waits for the next rotation. After 2 the next start goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import AuditError, ConfigError, VerificationError
from otel_audit.ledger.keys import Rotation, open_rotation, sign_rotation
from otel_audit.ledger.note import Signer, VerifierKey
from otel_audit.model import EventType
from otel_audit.receiver.losses import internal_event
from otel_audit.semconv import AUDIT_KEY_ROTATION_STATEMENT
from otel_audit.store.folder import DataFolder

if TYPE_CHECKING:  # operations lists this one among its own
    from otel_audit.receiver.operations import OpenLedger

_LOG: Final = logging.getLogger(__name__)
_ONE_AT_A_TIME: Final = threading.Lock()


def rotate_key(ledger: OpenLedger, _: Mapping[str, Any]) -> dict[str, Any]:
    """Make a new signing key follow the one in use. After a failure it may be asked for again, and goes on."""
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise ConfigError("the key is being rotated already; see: otel-audit keys show")
    try:
        with ledger.eraser.undisturbed():
            old, new = ledger.folder.signer(), ledger.folder.next_signer()  # 0
            ledger.sequencer.perform(lambda: ledger.checkpointer.sign_with([old, new])).result()  # 1
            if _entry_of(new, ledger.sequencer.perform(ledger.writer.rotations).result()) is None:
                event = internal_event(
                    EventType.KEY_ROTATION,
                    time.time_ns(),
                    name=f"{old.verifier_key.key_id.hex()} to {new.verifier_key.key_id.hex()}",
                    attributes=[(AUDIT_KEY_ROTATION_STATEMENT, sign_rotation(old, new))],
                )
                ledger.sequencer.submit([event]).result()  # 2
            seq = finish_rotation(ledger)
    finally:
        _ONE_AT_A_TIME.release()
    return {
        "origin": ledger.writer.origin,
        "seq": seq,
        "old_key": old.verifier_key.format(),
        "new_key": new.verifier_key.format(),
    }


def finish_rotation(ledger: OpenLedger) -> int | None:
    """Do what follows the entry of a rotation (steps 3 to 5), and return its seq; None when there is none to finish."""
    folder = ledger.folder
    new = folder.waiting_signer()
    rotations = ledger.sequencer.perform(ledger.writer.rotations).result()
    entry = _entry_of(new, rotations) if new is not None else None
    if new is None or entry is None:
        return None
    FileAnchor(ledger.anchor_dir).remember_key(new.verifier_key, [each.note for each in rotations])  # 3

    def seal_and_switch() -> None:
        ledger.checkpointer.seal()  # 4
        folder.switch_signer()  # 5
        ledger.checkpointer.sign_with([new])

    ledger.sequencer.perform(seal_and_switch).result()
    return entry.seq


def resume_rotation(ledger: OpenLedger) -> None:
    """At start: finish what a crash interrupted. Where that can't be done now, both keys go on signing."""
    try:
        finish_rotation(ledger)
    except AuditError as exc:
        _LOG.warning("the key rotation could not be finished, try again with: otel-audit keys rotate (%s)", exc)


def signers_at_start(folder: DataFolder, rotations: Sequence[Rotation]) -> list[Signer]:
    """The keys to sign with: the one in use, and the one that a rotation which is not finished introduced."""
    new = folder.waiting_signer()
    return [folder.signer(), *([new] if new is not None and _entry_of(new, rotations) else [])]


def own_keys(folder: DataFolder) -> list[VerifierKey]:
    """All keys that this ledger ever signed with, as the data folder knows them."""
    return [VerifierKey.parse(text) for text in folder.verifier_keys()]


def _entry_of(new: Signer, rotations: Sequence[Rotation]) -> Rotation | None:
    for rotation in rotations:
        try:
            if open_rotation(rotation.note)[1] == new.verifier_key:
                return rotation
        except VerificationError:
            continue  # verify reports it
    return None
