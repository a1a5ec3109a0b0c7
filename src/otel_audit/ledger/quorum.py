"""Whether enough witnesses cosigned the newest checkpoint that somebody could have been shown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, open_checkpoint, read_checkpoint
from otel_audit.ledger.cosignature import CosignatureKey, verify_cosignatures
from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.times import NANOS
from otel_audit.ledger.trust import Trust
from otel_audit.model import Checkpoint

_PENDING_SECONDS: Final = 60


def witness_keys(trust: Trust) -> list[CosignatureKey]:
    """The keys of the trusted witnesses, each once. Raises ConfigError for a text that is no such key."""
    return [CosignatureKey.parse(text) for text in dict.fromkeys(trust.witnesses)]


def check_quorum(
    anchored: Sequence[AnchoredCheckpoint], trust: Trust, findings: Findings, now_unix_nano: int = 0
) -> None:
    """Add WITNESS_QUORUM_MISSING unless ``trust.witness_quorum`` of its witnesses cosigned the newest checkpoint.

    ``anchored`` are all copies of one ledger's checkpoints. A cosignature counts if it is by another witness key than
    those counted already, on a checkpoint that the ledger's own key signed; where it was found does not matter.

    A checkpoint is anchored a moment before it is cosigned. So it is WITNESS_PENDING, a status, while enough witnesses
    cosigned an older one in the last minute: by their clocks, for the operator could claim that any is new.
    Raises ConfigError when a witness in ``trust`` is no cosignature verifier key.
    """
    if not trust.witness_quorum:
        return
    witnesses, wanted = witness_keys(trust), trust.witness_quorum
    newest: tuple[int, int] | None = None  # its size, and how many cosigned it
    covered, confirmed = 0, 0
    ordered = sorted(anchored, key=_claimed_size, reverse=True)
    for _, copies in groupby(ordered, key=_claimed_size):
        cosigned: dict[Checkpoint, dict[bytes, int]] = {}
        for each in copies:
            _count(each, trust, witnesses, cosigned, findings)
        if not cosigned:
            continue
        checkpoint, by = max(cosigned.items(), key=lambda item: len(item[1]))
        newest = newest or (checkpoint.size, len(by))
        if len(by) >= wanted:
            covered, confirmed = checkpoint.size, sorted(by.values())[-wanted]
            break
    if newest is None:
        detail = f"no anchored checkpoint is known that {wanted} witnesses could have cosigned"
        findings.add(Code.WITNESS_QUORUM_MISSING, detail)
    elif newest[0] != covered or newest[1] < wanted:
        is_pending = covered > 0 and abs(now_unix_nano // NANOS - confirmed) <= _PENDING_SECONDS
        findings.add(
            Code.WITNESS_PENDING if is_pending else Code.WITNESS_QUORUM_MISSING,
            f"{newest[1]} of the {len(witnesses)} trusted witnesses cosigned the newest checkpoint (size {newest[0]}), "
            f"{wanted} must have; up to size {covered} enough did"
            + (", less than a minute ago" if is_pending else ". Others may have been shown another history"),
            seq=covered,
        )


def _count(
    anchored: AnchoredCheckpoint,
    trust: Trust,
    witnesses: Sequence[CosignatureKey],
    cosigned: dict[Checkpoint, dict[bytes, int]],
    findings: Findings,
) -> None:
    """Add the witnesses that cosigned one copy, and when (seconds since 1970), to those of its checkpoint."""
    try:
        checkpoint = open_checkpoint(anchored.note, trust.verifier_keys, findings.origin)
    except VerificationError:
        return  # Judged where the ledger's signatures are judged; it just does not count here.
    by = cosigned.setdefault(checkpoint, {})
    for witness in witnesses:
        try:
            for each in verify_cosignatures(anchored.note, [witness]):
                by[witness.public_key] = max(each.unix_seconds, by.get(witness.public_key, 0))
        except VerificationError as exc:
            findings.add(Code.BAD_SIGNATURE, f"{anchored.kind} anchor {anchored.source}: {exc}")


def _claimed_size(anchored: AnchoredCheckpoint) -> int:
    try:
        return read_checkpoint(anchored.note).size
    except VerificationError:
        return -1
