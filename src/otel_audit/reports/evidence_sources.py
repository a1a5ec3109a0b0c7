"""What there is beside the store to verify it by: trust, and what all anchors hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from otel_audit.anchors import AnchorReading, join_readings
from otel_audit.anchors.digests import read_digests
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.opened import read_anchors
from otel_audit.anchors.settings import load_anchors, parse_anchors
from otel_audit.anchors.tokens import stored_attestations
from otel_audit.anchors.witness import read_witnessed
from otel_audit.errors import ConfigError, VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.ledger.note import VerifierKey
from otel_audit.ledger.quorum import witness_keys
from otel_audit.ledger.trust import Trust, join_trust, parse_trust
from otel_audit.store.folder import DataFolder


def evidence_to_hand_over(
    folder: DataFolder | None, anchor_dir: Path | None, anchors_from: Path | None
) -> AnchorReading:
    """All that anchors hold, for a bundle: records, cosigned checkpoints, timestamps, proofs and digests, and S3.

    ``anchor_dir`` is the anchor folder (None: the data folder's own), ``anchors_from`` a TOML file of ``[[anchors]]``.
    Cosignatures and timestamps go along as they are: whoever checks the bundle judges them by their own trust. Raises
    ConfigError for a bad file, AnchorUnavailable when an anchor does not answer.
    """
    place = anchor_dir or (folder.anchors if folder else None)
    records = FileAnchor(place) if place is not None and place.is_dir() else None
    stored = [stored_attestations(records), read_witnessed(records.folder, [])] if records else []
    external = load_anchors(anchors_from) if anchors_from else ()
    in_s3 = [settings for settings in external if settings.kind == "s3"]
    origins = [folder.identity().origin] if folder and in_s3 else None
    if records:
        stored += [records.read_all(), AnchorReading(digests=read_digests(records))]
    return join_readings([*stored, read_anchors([], in_s3, origins=origins)])


def read_evidence(
    anchor_dirs: tuple[Path, ...],
    anchors_from: Path | None,
    folder: DataFolder | None,
    trust_file: Path | None,
    *,
    is_left_out: bool,
    kept: Sequence[Path] = (),
) -> tuple[Trust, AnchorReading | None]:
    """What to believe, and what the anchors hold (None: they are left out).

    ``kept`` are files with checkpoints that the verifier kept: they are compared also where the anchors are left out.
    """
    own = AnchorReading(tuple(each for path in kept for each in kept_checkpoints(path)))
    default = [folder.anchors] if folder else []
    folders = [] if is_left_out else [FileAnchor(path) for path in anchor_dirs or default]
    missing = [str(anchor.folder) for anchor in folders if not anchor.folder.is_dir()]
    if missing and anchor_dirs:
        raise ConfigError(f"{missing[0]}: there is no such anchor folder. Check --anchor-dir")
    trust = _trusted(trust_file, folders, folder)
    if is_left_out:
        return trust, own if kept else None
    external = (*parse_anchors(trust.anchors, str(trust_file)), *(load_anchors(anchors_from) if anchors_from else ()))
    expected = [folder.identity().origin] if folder else []
    origins = {*expected, *(key.name for key in trust.verifier_keys)} or None
    # What witnesses cosigned is read last: then it is not older than the checkpoints that it must cover.
    return trust, join_readings(
        [
            read_anchors(folders, external, trust, origins),
            *(read_witnessed(anchor.folder, witness_keys(trust)) for anchor in folders),
            own,
        ]
    )


def kept_checkpoints(path: Path) -> list[AnchoredCheckpoint]:
    """The signed checkpoints in a file: one as it is, or JSON that has it as ``note`` or ``checkpoint``, or such lines.

    So what `otel-audit checkpoint --json`, a receipt, or a file of an anchor folder is. Raises ConfigError for others.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if not text.lstrip().startswith("{"):
            notes = [text.strip("\n") + "\n"]
        else:
            try:
                records = [json.loads(text)]
            except json.JSONDecodeError:
                records = [json.loads(line) for line in text.splitlines() if line.strip()]
            notes = [str(record.get("note") or record["checkpoint"]) for record in records]
        return [AnchoredCheckpoint(read_checkpoint(note).origin, note, str(path)) for note in notes]
    except (OSError, ValueError, KeyError, AttributeError, VerificationError) as exc:
        raise ConfigError(f"--checkpoint {path}: holds no signed checkpoint ({exc})") from exc


def _trusted(trust_file: Path | None, anchors: list[FileAnchor], folder: DataFolder | None) -> Trust:
    """What to believe: the file given, else the keys that the anchors remember, else the data folder's own keys."""
    if trust_file is not None:
        try:
            text = trust_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"{trust_file}: can not be read as a trust file: {exc}") from exc
        return parse_trust(text, str(trust_file))
    remembered = join_trust(anchor.trust() for anchor in anchors)
    if remembered.verifier_keys or folder is None:
        return remembered
    return Trust().with_keys(VerifierKey.parse(text) for text in folder.verifier_keys())
