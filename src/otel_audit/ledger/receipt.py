"""Receipts of audit records: what a producer keeps, and how it is proved without whoever gave it.

A receipt is a JSON object (docs/how-to/audit-signal.md). What it proves: an entry with ``leaf_hash`` lies at ``seq`` of
the ledger ``origin``, by a checkpoint that a trusted key signed. That this entry is the record's is the receiver's
word, until ``otel-audit verify`` recomputes the ledger; the hashes of the record are to compare it with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from otel_audit.errors import MalformedInput, VerificationError
from otel_audit.ledger.checkpoint import open_checkpoint
from otel_audit.ledger.merkle import verify_inclusion
from otel_audit.ledger.note import UnknownKey
from otel_audit.ledger.trust import Trust
from otel_audit.model import Checkpoint

_HASH_HEX: Final = re.compile(r"[0-9a-f]{64}")  # SHA-256


class NotCovered(VerificationError):
    """The receipt was given before a checkpoint covered its entry. Ask for it again, with ``receipt get``."""


class RecordDiffers(VerificationError):
    """The record at hand is not the one that the receipt was given for, or it was altered since."""


@dataclass(frozen=True, slots=True)
class RecordReceipt:
    """A receipt. Hashes of the record are hex; ``integrity_hash`` is None once a text of the record was erased.

    ``received_hash`` is None in a receipt that was asked for later, ``proof`` before a checkpoint covered the entry.
    """

    record_id: str
    origin: str
    seq: int
    leaf_hash: bytes
    checkpoint: str
    proof: tuple[bytes, ...] | None
    integrity_hash: str | None
    received_hash: str | None


def parse_receipt(document: Any, where: str) -> RecordReceipt:
    """Read a receipt's JSON value. Raises MalformedInput that begins with ``where`` and names the field."""
    if not isinstance(document, Mapping):
        raise MalformedInput(f"{where}: expected a receipt, a JSON object")
    if "record_status_map" in document:
        raise MalformedInput(f"{where}: the answer to a batch; take one receipt of its record_status_map")
    seq = document.get("seq")
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise MalformedInput(f"{where}: seq is no number of an entry")
    proof = document.get("inclusion_proof")
    if proof is not None and not isinstance(proof, list):
        raise MalformedInput(f"{where}: inclusion_proof is no list of hashes")
    steps = None if proof is None else tuple(bytes.fromhex(_hash(each, f"{where}: inclusion_proof")) for each in proof)
    hashes = {
        name: None if document.get(name) is None else _hash(document[name], f"{where}: {name}")
        for name in ("integrity_hash", "received_hash")
    }
    return RecordReceipt(
        record_id=_text(document, "record_id", where),
        origin=_text(document, "origin", where),
        seq=seq,
        leaf_hash=bytes.fromhex(_hash(document.get("leaf_hash"), f"{where}: leaf_hash")),
        checkpoint=_text(document, "checkpoint", where),
        proof=steps,
        **hashes,
    )


def verify_receipt(receipt: RecordReceipt, trust: Trust) -> Checkpoint:
    """Check that a checkpoint by a trusted key covers the receipt's entry, and give that checkpoint.

    A key that is compromised does not count, whenever: a receipt says nothing of the time that the key's new owner
    could not say too. Raises NotCovered, BadSignature, UnknownKey, WrongOrigin, or VerificationError for a proof that
    does not lead to the checkpoint's root.
    """
    keys = [key for key in trust.verifier_keys if trust.compromised_since(key) is None]
    if not receipt.checkpoint:
        raise NotCovered("the receipt has no checkpoint yet; get it again with `otel-audit receipt get`")
    try:
        checkpoint = open_checkpoint(receipt.checkpoint, keys, receipt.origin)
    except UnknownKey as exc:
        if len(keys) == len(trust.verifier_keys):
            raise
        raise UnknownKey(f"{exc}; keys that the trust file calls compromised do not count") from exc
    if receipt.proof is None:
        raise NotCovered(
            f"the checkpoint is of {checkpoint.size} entries and the receipt has no proof that it covers entry "
            f"{receipt.seq}; get it again with `otel-audit receipt get`"
        )
    verify_inclusion(receipt.leaf_hash, receipt.seq, checkpoint.size, checkpoint.root_hash, receipt.proof)
    return checkpoint


def verify_record(receipt: RecordReceipt, record_id: str, record_hash: str) -> str:
    """Check a record, by its id and the hash of its canonical form, and say which hash of the receipt it has.

    Gives ``integrity_hash`` (the record as it is stored) or ``received_hash`` (as it was sent, where the capture
    policy masked it). Raises RecordDiffers.
    """
    if record_id != receipt.record_id:
        raise RecordDiffers("the record has another audit.record.id than the receipt")
    for name, known in (("integrity_hash", receipt.integrity_hash), ("received_hash", receipt.received_hash)):
        if known == record_hash:
            return name
    if receipt.integrity_hash is None and receipt.received_hash is None:
        raise RecordDiffers("a text of the record was erased, so that the receipt has no hash to compare it with")
    raise RecordDiffers("the record has neither the integrity hash of the receipt nor its received hash")


def _text(document: Mapping[str, Any], name: str, where: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise MalformedInput(f"{where}: {name} is missing or no text")
    return value


def _hash(value: Any, where: str) -> str:
    if not isinstance(value, str) or not _HASH_HEX.fullmatch(value):
        raise MalformedInput(f"{where} is no SHA-256 in hex")
    return value
