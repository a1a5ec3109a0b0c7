"""The file anchor: every checkpoint, appended to a file in a folder of the operator's choice.

    <folder>/trust.json                             {"verifier_keys": ["name+hash+key", ...]}
    <folder>/<slug of origin>-<12 hex>/2026-11-23.jsonl   one checkpoint a line
    <folder>/<slug of origin>-<12 hex>/rotation-<key id>.note   why the key of that id followed another

It proves as much as the folder does: put it on another disk, in a repository or on a share that the operator
of the receiver can't rewrite. Nothing here ever changes or removes a line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from otel_audit.anchors import AnchorReading
from otel_audit.anchors._durable import append_durably, make_durable_folder, replace_durably
from otel_audit.errors import ConfigError, LedgerConflict, VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.ledger.keys import open_rotation
from otel_audit.ledger.note import VerifierKey
from otel_audit.ledger.trust import Trust, format_trust, parse_trust
from otel_audit.model import Checkpoint

_TRUST_FILE: Final = "trust.json"
_UNSAFE: Final = re.compile(r"[^a-zA-Z0-9.]+")
_SLUG_SIZE: Final = 40


class FileAnchor:
    """Checkpoints in JSON Lines files below one folder. One process writes a ledger's files at a time.

    ``clock`` gives nanoseconds since 1970: it names the day's file, and is what ``published_at`` says.
    """

    def __init__(self, folder: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self.folder = folder
        self._clock = clock
        self._last: dict[str, Checkpoint] = {}

    def publish(self, note: str, checkpoint: Checkpoint) -> None:
        """Append a signed checkpoint, and return once it is durable.

        ``checkpoint`` is what ``note`` says. Publishing the newest one again is harmless. Raises LedgerConflict
        when it contradicts the last one published (a smaller size, or the same size with another root): the
        caller must stop, and somebody has to run verify.
        """
        last = self._last.get(checkpoint.origin) or self._newest(checkpoint.origin)
        if last is not None:
            if checkpoint == last:
                self._last[checkpoint.origin] = last
                return
            if checkpoint.size <= last.size:
                raise LedgerConflict(
                    f"{checkpoint.origin}: the checkpoint of size {checkpoint.size} contradicts the one of size "
                    f"{last.size} already anchored in {self.folder}; run otel-audit verify"
                )
        published = datetime.fromtimestamp(self._clock() // 1_000_000_000, UTC)
        record = {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root_hash": _base64(checkpoint.root_hash),
            "published_at": published.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "note": note,
        }
        folder = self.folder_of(checkpoint.origin)
        make_durable_folder(folder)
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"
        append_durably(folder / f"{published:%Y-%m-%d}.jsonl", line.encode())
        self._last[checkpoint.origin] = checkpoint

    def remember_key(self, key: VerifierKey, rotations: Sequence[str] = ()) -> None:
        """Write down the verifier key that a ledger signs with, when it is seen for the first time.

        A later verifier takes the key from here, not from the store that it checks. Raises LedgerConflict when
        another key is already remembered for that name, unless ``rotations`` (signed statements, in order) lead
        from that one to this: a key is never replaced silently. What proved it is kept beside the checkpoints.
        """
        trust = self.trust()
        if key in trust.verifier_keys:
            return
        added = [(key, "")]
        if any(other.name == key.name for other in trust.verifier_keys):
            added = _follow(trust.verifier_keys, key, rotations)
        if not added:
            raise LedgerConflict(
                f"{self.folder / _TRUST_FILE} remembers another key for {key.name}, and no rotation that is signed by "
                "it leads to this one; if the key was replaced on purpose, add the new one to that file by hand, "
                "else run otel-audit verify"
            )
        make_durable_folder(self.folder)
        for each, proof in added:
            if proof:
                folder = self.folder_of(each.name)
                make_durable_folder(folder)
                replace_durably(folder / f"rotation-{each.key_id.hex()}.note", proof.encode())
        replace_durably(self.folder / _TRUST_FILE, format_trust(trust.with_keys(each for each, _ in added)).encode())

    def trusted_keys(self) -> list[VerifierKey]:
        """The verifier keys remembered here, none without such a file. Raises ConfigError if it is broken."""
        return list(self.trust().verifier_keys)

    def trust(self) -> Trust:
        """What is remembered here of whom to believe: keys, and what somebody added to the file."""
        path = self.folder / _TRUST_FILE
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Trust()
        except UnicodeDecodeError as exc:
            raise ConfigError(f"{path}: expected {{'verifier_keys': [...]}}") from exc
        if not text.lstrip().startswith("{"):
            raise ConfigError(f"{path}: expected {{'verifier_keys': [...]}}")
        return parse_trust(text, str(path))

    def origins(self) -> list[str]:
        """The ledgers that have a readable checkpoint here, sorted."""
        return sorted({anchored.origin for anchored in self.read_all().checkpoints})

    def read(self, origin: str) -> AnchorReading:
        """All checkpoints of one ledger, oldest first. Signatures are for the verifier to check."""
        return _read_folder(self.folder_of(origin))

    def read_all(self) -> AnchorReading:
        """All checkpoints of all ledgers."""
        readings = [_read_folder(folder) for folder in sorted(self.folder.glob("*/"))]
        return AnchorReading(
            tuple(anchored for reading in readings for anchored in reading.checkpoints),
            tuple(line for reading in readings for line in reading.damaged),
        )

    def folder_of(self, origin: str) -> Path:
        """Return where a ledger's records are: a safe name for people, and a hash so that no two origins share it."""
        return origin_folder(self.folder, origin)

    def _newest(self, origin: str) -> Checkpoint | None:
        for path in sorted(self.folder_of(origin).glob("*.jsonl"), reverse=True):
            checkpoints = [
                read_checkpoint(record.note) for record in _read_file(path) if isinstance(record, AnchoredCheckpoint)
            ]
            if checkpoints:
                return max(checkpoints, key=lambda checkpoint: checkpoint.size)
        return None


def origin_folder(folder: Path, origin: str) -> Path:
    """The folder of one ledger: a safe name for people, and a hash so that two origins never share a folder."""
    slug = _UNSAFE.sub("-", origin).strip("-.")[:_SLUG_SIZE] or "ledger"
    return folder / f"{slug}-{hashlib.sha256(origin.encode()).hexdigest()[:12]}"


def _follow(
    remembered: Iterable[VerifierKey], wanted: VerifierKey, rotations: Iterable[str]
) -> list[tuple[VerifierKey, str]]:
    """The keys that signed rotations lead to from ``remembered``, with their proofs; none if not to ``wanted``."""
    known = set(remembered)
    added: list[tuple[VerifierKey, str]] = []
    for note in rotations:
        try:
            old, new = open_rotation(note)
        except VerificationError:
            continue  # it proves nothing; verify reports it
        if old in known and new not in known:
            known.add(new)
            added.append((new, note))
    return added if wanted in known else []


def _read_folder(folder: Path) -> AnchorReading:
    records = [record for path in sorted(folder.glob("*.jsonl")) for record in _read_file(path)]
    return AnchorReading(
        tuple(record for record in records if isinstance(record, AnchoredCheckpoint)),
        tuple(record for record in records if isinstance(record, str)),
    )


def _read_file(path: Path) -> Iterator[AnchoredCheckpoint | str]:
    """Each line of a file: the record, or where and why it is none."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path} line {number}"
            if not line.strip():  # What separates a torn line from the next record.
                continue
            try:
                yield _parse_record(line, where)
            except (ValueError, KeyError, TypeError, VerificationError) as exc:
                problem = str(exc) if line.endswith(b"\n") else "torn: it has no line end"
                yield f"{where}: {problem}"


def _parse_record(line: bytes, where: str) -> AnchoredCheckpoint:
    record = json.loads(line)
    claimed = read_checkpoint(record["note"])
    if (record["size"], record["root_hash"]) != (claimed.size, _base64(claimed.root_hash)):
        raise ValueError("its size or root_hash is not what its note says")
    return AnchoredCheckpoint(str(record["origin"]), record["note"], where, str(record["published_at"]))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
