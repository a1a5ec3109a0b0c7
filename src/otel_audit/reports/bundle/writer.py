"""Writing a bundle: the zip of docs/design/bundle-format.md, in constant memory but for its table of contents.

The same entries, checkpoint and ``Making`` give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path, PurePath
from typing import IO, Any, BinaryIO, Final

from otel_audit.anchors.proofs import KIND as OPENTIMESTAMPS
from otel_audit.errors import ConfigError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint
from otel_audit.ledger.note import Signer
from otel_audit.ledger.proof_file import SUFFIX, InclusionProof, format_proof
from otel_audit.ledger.statement import sign_statement
from otel_audit.model import Filter
from otel_audit.reports._csv import csv_chunks
from otel_audit.reports._times import iso_nano
from otel_audit.reports.bundle.anchor_facts import anchor_fact
from otel_audit.reports.bundle.cover import AnchorFact, Facts, cover_page, readme
from otel_audit.reports.bundle.evidence import Collector, EvidenceRow, Key
from otel_audit.reports.bundle.verify_bundle import one_line
from otel_audit.reports.export import json_line

FORMAT: Final = "otel-audit-bundle/1"
_FIXED_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can state: the same rows give the same bytes
_COPY_BYTES: Final = 1 << 20
_ROWS_AT_ONCE: Final = 512
_SUFFIXES: Final = {"rfc3161": ".tsr", OPENTIMESTAMPS: ".note.ots"}  # of evidence that is over the note beside it


@dataclass(frozen=True, slots=True)
class Making:
    """Who makes a bundle, when (nanoseconds since 1970), why, and with which version of otel-audit."""

    made_unix_nano: int
    made_by: str
    purpose: str
    version: str


@dataclass(frozen=True, slots=True)
class Made:
    """What a bundle holds; ``not_sealed`` matching entries came after the newest checkpoint and are left out."""

    entries: int
    related: int
    texts: int
    erased: int
    not_sealed: int
    signed: bool


def write_bundle(
    out: BinaryIO, collector: Collector, making: Making, *, signer: Signer | None = None, scratch: Path | None = None
) -> Made:
    """Write the bundle of ``collector`` to ``out``, a file that can be sought.

    ``signer`` is the ledger's key: it signs the manifest. ``scratch`` is the folder for temporary files without a
    name. Raises ConfigError when nothing matches that is under a checkpoint.
    """
    if not collector.matching:
        waits = f"{collector.not_sealed} matching entries are under no checkpoint yet" if collector.not_sealed else ""
        raise ConfigError(f"nothing to put into a bundle: {waits or 'no entry matches'}. `otel-audit checkpoint` seals")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        return _Writer(archive, collector, making, signer, scratch).write()


class _Set:
    """One set of entries, on its way into the zip: encodings, texts and tables grow side by side."""

    def __init__(self, name: str, scratch: Path | None, stack: ExitStack) -> None:
        self.name = name
        self.last: dict[str, int] = {}  # the last seq of each ledger
        self.counts: dict[str, int] = {}
        self.rows = self.texts = self.erased = 0
        self.first_time: int | None = None
        self.last_time: int | None = None
        self.files: dict[str, IO[bytes]] = {
            kind: stack.enter_context(tempfile.TemporaryFile(dir=scratch))  # noqa: SIM115 - the stack closes it
            for kind in ("bin", "csv", "jsonl", "texts.jsonl")
        }
        self.files["csv"].write(next(csv_chunks((), bom=True)))

    def add(self, rows: list[EvidenceRow]) -> None:
        """Add entries, in order."""
        pieces = csv_chunks([[row.columns for row in rows]])
        next(pieces)  # the header, which is there already
        for piece in pieces:
            self.files["csv"].write(piece)
        for row in rows:
            self.rows += 1
            self.last[row.origin] = row.seq
            self.counts[row.origin] = self.counts.get(row.origin, 0) + 1
            time = row.columns["event_time"]
            self.first_time = time if self.first_time is None else min(time, self.first_time)
            self.last_time = time if self.last_time is None else max(time, self.last_time)
            self.erased += len(row.columns["content_commitments"]) - len(row.texts)
            self.texts += len(row.texts)
            self.files["bin"].write(len(row.encoding).to_bytes(4, "big") + row.encoding)
            self.files["jsonl"].write(f"{json_line(row.columns)}\n".encode())
            for text in row.texts:
                record = {"origin": row.origin, "seq": row.seq, "name": text.name, "opening": text.opening.hex()}
                self.files["texts.jsonl"].write(one_line({**record, "value": text.value}))


class _Writer:
    def __init__(
        self,
        archive: zipfile.ZipFile,
        collector: Collector,
        making: Making,
        signer: Signer | None,
        scratch: Path | None,
    ) -> None:
        self._zip, self._collector, self._making, self._signer = archive, collector, making, signer
        self._scratch = scratch
        self._hashes: dict[str, str] = {}
        self._anchors: dict[str, tuple[AnchorFact, ...]] = {}

    def write(self) -> Made:
        with ExitStack() as stack:
            entries, related = (_Set(name, self._scratch, stack) for name in ("entries", "related"))
            joined: set[Key] = set()
            own: set[Key] = set()
            # Which ledger is proofs/0, proofs/1, ... follows from the filter alone.
            numbers = {origin: number for number, (origin, _) in enumerate(sorted(self._collector.where.sizes))}
            for rows in _blocks(self._collector.entries(joined)):
                entries.add(rows)
                own |= {(row.origin, row.seq) for row in rows}
                self._proofs(rows, numbers)
            keys = (joined | self._collector.explaining(own | joined)) - own
            for rows in _blocks(self._collector.related(keys)):
                related.add(rows)
                self._proofs(rows, numbers)
            for each in (entries, related):
                for kind, file in each.files.items():
                    self._copy(f"{each.name}.{kind}", file)
        ledgers = [self._ledger(number, origin, entries, related) for origin, number in numbers.items()]
        facts = self._facts(entries, related)
        digests = self._digests(entries, related)
        self._put("index.html", cover_page(facts, ledgers).encode())
        self._put("README.txt", readme(facts).encode())
        self._put("verify_bundle.py", files("otel_audit.reports.bundle").joinpath("verify_bundle.py").read_bytes())
        self._manifest(facts, ledgers, digests)
        erased = entries.erased + related.erased
        texts = entries.texts + related.texts
        signed = self._signer is not None
        return Made(entries.rows, related.rows, texts, erased, self._collector.not_sealed, signed)

    def _proofs(self, rows: Iterable[EvidenceRow], numbers: dict[str, int]) -> None:
        for row in rows:
            ledger = self._collector.ledger(row.origin)
            proof = format_proof(InclusionProof(row.seq, ledger.inclusion(row.seq), ledger.note))
            # Hashes hardly get smaller, and to begin a compression costs more than the proof.
            member = zip_member(f"proofs/{numbers[row.origin]}/{row.seq}{SUFFIX}")
            self._zip.writestr(member, proof.encode(), zipfile.ZIP_STORED)

    def _ledger(self, number: int, origin: str, *sets: _Set) -> dict[str, Any]:
        """Write a ledger's checkpoint and anchors."""
        lasts = [each.last[origin] for each in sets if origin in each.last]
        checkpoint = self._collector.ledger(origin).checkpoint
        self._put(f"checkpoints/{number}.note", self._collector.ledger(origin).note.encode())
        last_seq = max(lasts, default=-1)
        anchors = self._collector.anchors(origin, max(last_seq, 0))
        for index, (anchored, hashes) in enumerate(anchors):
            self._anchor(f"anchors/{number}/{index}", anchored, hashes)
        self._anchors[origin] = tuple(anchor_fact(anchored) for anchored, _ in anchors)
        return {
            "origin": origin,
            "size": checkpoint.size,
            "root_hash": checkpoint.root_hash.hex(),
            "entries": sum(each.counts.get(origin, 0) for each in sets),
            "last_seq": last_seq,
            "anchors": len(anchors),
        }

    def _anchor(self, name: str, anchored: AnchoredCheckpoint, hashes: Iterable[bytes]) -> None:
        attested = anchored.attested_unix_nano
        record = {
            "kind": anchored.kind,
            "source": _place_of(anchored.source),
            "published_at": anchored.published_at,
            "attested_at": None if attested is None else iso_nano(attested),
            "evidence": f"{name}{_suffix(anchored)}" if anchored.evidence else None,
            "note": anchored.note,
            "consistency": _base64(hashes),
        }
        self._put(f"{name}.json", _json(record))
        if anchored.evidence:
            self._put(f"{name}{_suffix(anchored)}", anchored.evidence)
        if anchored.kind in _SUFFIXES:
            self._put(f"{name}.note", anchored.note.encode())  # the bytes that openssl and ots take
        if anchored.block_header:
            self._put(f"{name}.header", anchored.block_header)

    def _digests(self, *sets: _Set) -> int:
        """Write the digests over all ledgers, and return how many."""
        lasts: dict[str, int] = {}
        for each in sets:
            lasts |= {origin: max(last, lasts.get(origin, 0)) for origin, last in each.last.items()}
        found = self._collector.digests(lasts)
        for index, (stored, proofs) in enumerate(found):
            record = {
                "source": _place_of(stored.source),
                "note": stored.note,
                "consistency": {origin: _base64(hashes) for origin, hashes in proofs.items()},
            }
            self._put(f"digests/{index}.json", _json(record))
        return len(found)

    def _facts(self, entries: _Set, related: _Set) -> Facts:
        asked = [
            (field.name, _said(field.name, value))
            for field in fields(Filter)
            if field.name != "sizes" and (value := getattr(self._collector.where, field.name)) not in ("", None, ())
        ]
        return Facts(
            made_at=iso_nano(self._making.made_unix_nano),
            made_by=self._making.made_by,
            purpose=self._making.purpose,
            made_with=f"otel-audit {self._making.version}",
            asked=tuple(asked),
            first_at=iso_nano(entries.first_time or 0),
            last_at=iso_nano(entries.last_time or 0),
            entries=entries.rows,
            related=related.rows,
            texts=entries.texts + related.texts,
            erased=entries.erased + related.erased,
            not_sealed=self._collector.not_sealed,
            signed=self._signer is not None,
            anchors=self._anchors,
        )

    def _manifest(self, facts: Facts, ledgers: list[dict[str, Any]], digests: int) -> None:
        manifest = {
            "format": FORMAT,
            "made_at": facts.made_at,
            "made_by": facts.made_by,
            "made_with": facts.made_with,
            "purpose": facts.purpose,
            "filter": dict(facts.asked),
            "time_zone": "UTC",
            "period": [facts.first_at, facts.last_at],
            "counts": {
                "entries": facts.entries,
                "related": facts.related,
                "texts": facts.texts,
                "gone": facts.erased,
                "not_sealed": facts.not_sealed,
            },
            "ledgers": ledgers,
            "digests": digests,
            "files": dict(sorted(self._hashes.items())),
        }
        raw = _json(manifest)
        stated = {"manifest_sha256": hashlib.sha256(raw).hexdigest()}
        unsigned = f"otel-audit/bundle/v1\n{json.dumps(stated, separators=(',', ':'))}\n"
        note = sign_statement("bundle", stated, [self._signer]) if self._signer else unsigned
        self._put("manifest.json", raw, listed=False)
        self._put("manifest.note", note.encode(), listed=False)

    def _put(self, name: str, raw: bytes, *, listed: bool = True) -> None:
        self._zip.writestr(zip_member(name), raw)
        if listed:
            self._hashes[name] = hashlib.sha256(raw).hexdigest()

    def _copy(self, name: str, file: IO[bytes]) -> None:
        digest = hashlib.sha256()
        file.seek(0)
        with self._zip.open(zip_member(name), "w", force_zip64=True) as member:
            while piece := file.read(_COPY_BYTES):
                digest.update(piece)
                member.write(piece)
        self._hashes[name] = digest.hexdigest()


def _blocks(rows: Iterator[EvidenceRow]) -> Iterator[list[EvidenceRow]]:
    block: list[EvidenceRow] = []
    for row in rows:
        block.append(row)
        if len(block) == _ROWS_AT_ONCE:
            yield block
            block = []
    if block:
        yield block


def _said(name: str, value: Any) -> str:
    """A value of a filter as the manifest has it."""
    if name in {"since", "until"}:
        return iso_nano(value)
    if isinstance(value, str | int | float):
        return str(value)
    return "; ".join(each if isinstance(each, str) else " ".join(map(str, each)) for each in value)


def _place_of(source: str) -> str:
    """The last two parts, which say what file or object it is: what is before may name a person's folder."""
    return "/".join(PurePath(source).parts[-2:])


def _base64(hashes: Iterable[bytes]) -> list[str]:
    return [base64.b64encode(each).decode("ascii") for each in hashes]


def _suffix(anchored: AnchoredCheckpoint) -> str:
    return _SUFFIXES.get(anchored.kind, ".evidence")


def zip_member(name: str) -> zipfile.ZipInfo:
    """A file of a zip that is the same whenever and wherever it is made."""
    info = zipfile.ZipInfo(name, _FIXED_TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
