"""Which missing entries a ledger explains itself: its retention statements, checked before they excuse anything."""

from __future__ import annotations

from collections.abc import Sequence

from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import open_checkpoint, read_checkpoint
from otel_audit.ledger.findings import Code, Findings
from otel_audit.ledger.keys import KeyHistory
from otel_audit.ledger.note import BadSignature, UnknownKey
from otel_audit.ledger.retention import EXPIRY, Expiry
from otel_audit.ledger.roots import Seal
from otel_audit.ledger.statement import read_statement


def read_expiries(
    notes: Sequence[tuple[int, str]], history: KeyHistory, findings: Findings
) -> tuple[list[tuple[int, Expiry]], list[Seal]]:
    """Check the retention statements of a ledger, given as (seq, signed note).

    Returns those that may excuse missing entries, and the signed roots that they rest on: the tree must have them.
    What is wrong with a statement becomes a finding. Without keys nothing signed can be judged: they count as they are.
    """
    keys = history.keys
    expiries: list[tuple[int, Expiry]] = []
    seals: list[Seal] = []
    for seq, note in notes:
        if not note.startswith(f"otel-audit/{EXPIRY}/"):
            continue
        try:
            statement = history.open(note, EXPIRY, seq) if keys else read_statement(note, EXPIRY)
            expiry = Expiry.from_fields(statement.fields)
            sealed = (
                open_checkpoint(expiry.checkpoint, keys, findings.origin)
                if keys
                else read_checkpoint(expiry.checkpoint)
            )
        except UnknownKey as exc:
            findings.add(Code.UNKNOWN_KEY, f"retention statement: {exc}", seq=seq)
        except BadSignature as exc:
            findings.add(Code.BAD_SIGNATURE, f"retention statement: {exc}", seq=seq)
        except VerificationError as exc:
            findings.add(Code.FALSE_TOMBSTONE, str(exc), seq=seq)
        else:
            if expiry.origin != findings.origin:
                detail = f"the retention statement is of the ledger {expiry.origin!r}"
                findings.add(Code.WRONG_ORIGIN, detail, seq=seq)
            elif not expiry.end <= sealed.size <= seq:
                detail = "the checkpoint that it names does not cover the entries that it says expired: never proven"
                findings.add(Code.FALSE_TOMBSTONE, detail, seq=seq)
            else:
                expiries.append((seq, expiry))
                seals.append(Seal(sealed.size, sealed.root_hash, f"retention entry {seq}", anchored=False))
    return expiries, seals
