"""OpenTimestamps proofs as they lie beside the file anchor's records: read and judged without a network or library."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from otel_audit.anchors import AnchorReading
from otel_audit.anchors.digests import missing_digest
from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.ledger.digest import StoredDigest, read_digest
from otel_audit.ledger.findings import Code
from otel_audit.ledger.ots import BlockTime, ProofRefused, check_imprint, parse_proof, verify_proof
from otel_audit.model import Finding

KIND: Final = "opentimestamps"


def note_of(proof: Path) -> Path:
    """The file that a proof is over."""
    return proof.with_suffix("")


def header_of(proof: Path) -> Path:
    """The header of the block that a complete proof leads to."""
    return note_of(proof).with_suffix(".header")


def proof_files(records: FileAnchor) -> list[Path]:
    """All proofs beside a file anchor's records."""
    return sorted(records.folder.glob(f"*/{KIND}/*.note.ots"))


def header_and_proof(path: Path) -> tuple[bytes, bytes]:
    """Header (empty without one) and proof. The header is written after its proof, so it is read before it."""
    header = header_of(path)
    return (header.read_bytes() if header.exists() else b""), path.read_bytes()


def read_proofs(
    records: FileAnchor, blocks: Mapping[int, str], origins: Collection[str] | None = None
) -> AnchorReading:
    """Read and check all proofs beside a file anchor's records.

    ``blocks`` maps heights to the hashes of blocks that are known to be Bitcoin's. A proof that is pending, or whose
    block is not among them, attests no time, and that is said: OTS_PENDING. ``origins`` are the ledgers to read.
    """
    checkpoints, digests, findings, damaged = [], [], [], []
    unknown: dict[str, list[BlockTime]] = {}
    for path in proof_files(records):
        try:
            note = note_of(path).read_text(encoding="utf-8")
            is_digest = path.name.startswith("digest-")
            origin = read_digest(note).origin if is_digest else read_checkpoint(note).origin
        except (OSError, UnicodeDecodeError, VerificationError) as exc:
            damaged.append(f"{path}: its note can not be read: {exc}")
            continue
        if origins is not None and origin not in origins:
            continue
        try:
            block = _judge(path, note.encode(), blocks)
        except ProofRefused as exc:
            findings.append(Finding(exc.code, origin, f"OpenTimestamps proof {path}: {exc}"))
            continue
        attested = block.unix_nano if block and block.is_trusted else None
        if block is None:
            detail = f"OpenTimestamps proof {path} is pending: it leads to no block yet, so it attests no time"
            findings.append(Finding(Code.OTS_PENDING, origin, detail))
        elif attested is None:
            unknown.setdefault(origin, []).append(block)
        if is_digest:
            place = f"{records.folder} {note_of(path).stem.split('-', 2)[2]}"
            number = read_digest(note).number
            findings += [gone] if (gone := missing_digest(records, origin, number, f"proof {path}")) else []
            digests.append(StoredDigest(note, str(path), place, attested))
        else:
            checkpoints.append(AnchoredCheckpoint(origin, note, str(path), "", KIND, attested, path.read_bytes()))
    findings += _not_placed(records, unknown)
    return AnchorReading(tuple(checkpoints), tuple(damaged), tuple(findings), tuple(digests))


def _judge(path: Path, note: bytes, blocks: Mapping[int, str]) -> BlockTime | None:
    """The block that a proof leads to; None while it is pending. Raises ProofRefused."""
    header, raw = header_and_proof(path)
    proof = parse_proof(raw)
    if header:
        return verify_proof(proof, note, header, blocks)
    check_imprint(proof, note)
    if not proof.pending and not proof.blocks:
        raise ProofRefused(Code.OTS_INVALID, "leads neither to a calendar nor to a block")
    return None


def _not_placed(records: FileAnchor, unknown: Mapping[str, list[BlockTime]]) -> Iterator[Finding]:
    for origin, blocks in unknown.items():
        heights = ", ".join(f"{each.height} {each.block_hash}" for each in blocks[-3:])
        yield Finding(
            Code.OTS_PENDING,
            origin,
            f"{records.folder}: {len(blocks)} OpenTimestamps proofs lead to block headers with a valid proof of work, "
            "but whether those blocks are in Bitcoin's chain was not checked, so no time of theirs is believed. Look "
            f"them up, and put them into bitcoin_blocks of the trust file: {heights}"
            + (f", and {len(blocks) - 3} more" if len(blocks) > 3 else ""),
        )
