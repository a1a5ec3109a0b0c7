"""What of a ledger goes into a bundle: the entries of a filter, what explains them, their texts and their proofs."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from otel_audit.anchors import AnchorReading
from otel_audit.anchors.proofs import KIND as OPENTIMESTAMPS
from otel_audit.errors import ConfigError, VerificationError
from otel_audit.ledger.checkpoint import AnchoredCheckpoint, read_checkpoint
from otel_audit.ledger.digest import StoredDigest, read_digest
from otel_audit.ledger.encoding import leaf_hash
from otel_audit.ledger.merkle import consistency_proof, inclusion_proof
from otel_audit.ledger.tiles import TILE_WIDTH
from otel_audit.model import EventType, Filter
from otel_audit.reports.bundle.verify_bundle import Broken, Erasure, decode
from otel_audit.store.database import Database
from otel_audit.store.evidence import EvidenceReader
from otel_audit.store.reader import Reader

Key = tuple[str, int]

_AT_ONCE: Final = 2048  # entries in memory; also what fits into a query's list of seqs
_WHICH_RECORD: Final = re.compile(r" line \d+$|\d{20}")
# Entries that say why something may be missing, or which key followed: whoever checks a bundle needs them.
_EXPLAINING: Final = (EventType.RETENTION, EventType.KEY_ROTATION)
_NO_ANCHORS: Final = AnchorReading()


@dataclass(frozen=True, slots=True)
class Text:
    """One text of an entry, with the opening of the commitment to it."""

    name: str
    opening: bytes
    value: str


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One entry: its encoding, its columns as the exports have them, and the texts that it commits to."""

    origin: str
    seq: int
    encoding: bytes
    columns: dict[str, Any]
    texts: tuple[Text, ...]


class LedgerEvidence:
    """One ledger's checkpoint that a bundle is made for, and proofs into it in O(log size) reads."""

    def __init__(self, reader: EvidenceReader, origin: str, note: str) -> None:
        self.origin, self.note = origin, note
        self.checkpoint = read_checkpoint(note)
        size = self.checkpoint.size
        tail_start = size - size % TILE_WIDTH
        tail = [leaf_hash(row.encoding) for block in reader.rows(origin, tail_start, size) for row in block.rows()]
        if len(tail) != size - tail_start:
            raise ConfigError(f"{origin}: entries are missing below checkpoint {size}; run: otel-audit verify")
        self._subtree = reader.subtrees(origin, size, tail)

    def inclusion(self, seq: int) -> list[bytes]:
        """Return the hashes that lead from an entry to the checkpoint's root."""
        return inclusion_proof(seq, self.checkpoint.size, self._subtree)

    def consistency(self, size: int) -> list[bytes]:
        """Return the hashes that show that the tree of a smaller ``size`` is a prefix of the checkpoint's."""
        return consistency_proof(size, self.checkpoint.size, self._subtree) if size != self.checkpoint.size else []


class Collector:
    """Reads what a bundle of ``where`` is made of. The view is frozen at each ledger's newest usable checkpoint."""

    def __init__(self, database: Database, where: Filter, anchors: AnchorReading = _NO_ANCHORS) -> None:
        self._reader, self._evidence = Reader(database), EvidenceReader(database)
        self._anchored, self._digests = anchors.checkpoints, anchors.digests
        sealed = {
            ledger.origin: ledger.checkpoint for ledger in self._reader.ledgers() if ledger.checkpoint is not None
        }
        asked = dict(where.sizes) if where.sizes else {origin: each.size for origin, each in sealed.items()}
        sizes = tuple((origin, min(size, sealed[origin].size)) for origin, size in asked.items() if origin in sealed)
        self.where = replace(where, sizes=sizes)
        self._notes = {origin: each.note for origin, each in sealed.items()}
        self._ledgers: dict[str, LedgerEvidence] = {}
        total = self._reader.count(where).events
        self.matching = self._reader.count(self.where).events if sizes else 0
        self.not_sealed = total - self.matching

    def ledger(self, origin: str) -> LedgerEvidence:
        """Return the checkpoint and proofs of one ledger."""
        if origin not in self._ledgers:
            self._ledgers[origin] = LedgerEvidence(self._evidence, origin, self._notes[origin])
        return self._ledgers[origin]

    def entries(self, joined: set[Key]) -> Iterator[EvidenceRow]:
        """Yield the matching entries in order; ``joined`` takes the keys of log records that hold their texts."""
        for block in self._reader.stream(self.where, payload=False):
            for row in block:
                for places in row["content_from"].values():
                    for place in places.split():
                        origin, _, seq = place.rpartition("#")
                        joined.add((origin, int(seq)))
            yield from self._picked((row["origin"], row["seq"]) for row in block)

    def explaining(self, keys: Iterable[Key]) -> set[Key]:
        """Return the keys of the entries that say what of ``keys`` was erased, what expired, and which keys follow.

        Erasures of anything else are left out: they are about other people.
        """
        seqs: dict[str, list[int]] = {}
        for origin, seq in sorted(keys):
            seqs.setdefault(origin, []).append(seq)
        sizes = tuple((origin, self.ledger(origin).checkpoint.size) for origin in seqs)
        where = Filter(event_type=_EXPLAINING, sizes=sizes)
        blocks = self._reader.stream(where, payload=False, with_content=False) if sizes else ()
        found = {(row["origin"], row["seq"]) for block in blocks for row in block}
        for origin, size in sizes:
            for seq, note in self._evidence.statements(origin, EventType.ERASURE):
                if seq < size and _touches(note, origin, seq, seqs[origin]):
                    found.add((origin, seq))
        return found

    def related(self, keys: Iterable[Key]) -> Iterator[EvidenceRow]:
        """Yield these entries, in order."""
        yield from self._picked(sorted(keys))

    def anchors(self, origin: str, last_seq: int) -> list[tuple[AnchoredCheckpoint, list[bytes]]]:
        """Return the anchored checkpoints that speak for a ledger up to ``last_seq``, with consistency proofs.

        Of each anchor: the first that covers all entries, which is nearest to them in time, and the newest; of
        OpenTimestamps those that lead to a block, if there are any. One that is beyond the ledger's checkpoint has no
        proof, and goes along without: what it has seen is not in the store any more (anchors are read before it).
        """
        ledger = self.ledger(origin)
        chosen: list[AnchoredCheckpoint] = []
        known = sorted(
            (read_checkpoint(each.note).size, _place(each), each.source, index)
            for index, each in enumerate(self._anchored)
            if each.origin == origin and read_checkpoint(each.note).size > 0
        )
        usable = [each for each in known if each[0] <= ledger.checkpoint.size]
        for place in sorted({place for _, place, _, _ in usable}):
            there = [(size, self._anchored[index]) for size, each, _, index in usable if each == place]
            covering = [each for size, each in there if size > last_seq]
            newest = [each for _, each in reversed(there)]
            chosen += dict.fromkeys([*_complete_first(covering)[:1], _complete_first(newest)[0]])
        proven = [(each, ledger.consistency(read_checkpoint(each.note).size)) for each in chosen]
        return [*proven, *((self._anchored[index], []) for *_, index in known[len(usable) :][-1:])]

    def digests(self, lasts: Mapping[str, int]) -> list[tuple[StoredDigest, dict[str, list[bytes]]]]:
        """Return the digests that name a ledger of ``lasts``, with the consistency proof of each such ledger.

        ``lasts`` has the last seq of each. Of each anchor and signer: the first that covers all entries, and the
        newest. What is no digest is left out: `otel-audit verify` tells of it.
        """
        usable: list[tuple[tuple[str, str], int, bool, int, dict[str, int]]] = []
        for index, stored in enumerate(self._digests):
            with suppress(VerificationError):
                digest = read_digest(stored.note)
                tips = [read_checkpoint(tip.note) for tip in digest.tips]
                sizes = {tip.origin: tip.size for tip in tips if tip.origin in lasts}
                if sizes and all(size <= self.ledger(origin).checkpoint.size for origin, size in sizes.items()):
                    covers = all(sizes.get(origin, 0) > last for origin, last in lasts.items())
                    usable.append(((stored.place, digest.origin), digest.number, covers, index, sizes))
        usable.sort(key=lambda each: each[:2])
        chosen: dict[int, dict[str, int]] = {}
        for _, group in groupby(usable, key=lambda each: each[0]):
            there = list(group)
            first = next((each for each in there if each[2]), there[-1])
            chosen |= {index: sizes for *_, index, sizes in (first, there[-1])}
        return [
            (self._digests[index], {origin: self.ledger(origin).consistency(size) for origin, size in sizes.items()})
            for index, sizes in chosen.items()
        ]

    def _picked(self, keys: Iterable[Key]) -> Iterator[EvidenceRow]:
        for origin, group in groupby(keys, key=lambda key: key[0]):
            seqs = [seq for _, seq in group]
            for first in range(0, len(seqs), _AT_ONCE):
                yield from self._rows(origin, seqs[first : first + _AT_ONCE])

    def _rows(self, origin: str, seqs: Sequence[int]) -> Iterator[EvidenceRow]:
        stored: dict[int, dict[bytes, list[tuple[bytes, bytes, str]]]] = {}
        for text in self._evidence.picked_texts(origin, seqs):
            same = stored.setdefault(text.seq, {}).setdefault(text.name, [])
            same.append((text.commitment, text.opening, text.value.decode("utf-8", "backslashreplace")))
        for block in self._evidence.picked_rows(origin, seqs):
            for row in block.rows():
                try:
                    columns = decode(row.encoding)
                except Broken as exc:
                    raise VerificationError(f"{origin}: entry {row.seq}: {exc.args[1]}; run otel-audit verify") from exc
                texts = tuple(
                    Text(name, *found[0])
                    for name, commitment in sorted(columns["content"].items())
                    if (found := _of(stored.get(row.seq, {}).get(name.encode(), ()), commitment))
                )
                columns["content_commitments"] = columns["content"]
                values = {text.name: text.value for text in texts}
                columns["content"] = {name: values[name] for name in columns["content"] if name in values}
                columns["content_from"] = {}
                yield EvidenceRow(origin, row.seq, row.encoding, columns, texts)


def _place(anchored: AnchoredCheckpoint) -> tuple[str, str]:
    """Which anchor it is from: the file anchor begins a file each day, others name size or line in the source."""
    return anchored.kind, "" if anchored.kind == "file" else _WHICH_RECORD.sub("", anchored.source)


def _touches(note: str, origin: str, seq: int, seqs: Sequence[int]) -> bool:
    """Whether the erasure that is entry ``seq`` is of one of these entries. One that is no erasure counts as if."""
    try:
        ends = Erasure(note, {"origin": origin, "seq": seq}).ends
    except (Broken, ValueError, KeyError, TypeError):
        return True  # whoever checks is told what is wrong with it
    ranges = zip(ends[::2], ends[1::2], strict=True)
    return any(bisect_left(seqs, first) < bisect_right(seqs, last) for first, last in ranges)


def _complete_first(anchored: list[AnchoredCheckpoint]) -> list[AnchoredCheckpoint]:
    """In the same order, but promises after all that prove something already."""
    return sorted(anchored, key=lambda each: each.kind == OPENTIMESTAMPS and not each.block_header)


def _of(stored: Iterable[tuple[bytes, bytes, str]], commitment: str) -> list[tuple[bytes, str]]:
    """What is stored under the entry's own commitment: anything else is what a failed insert left behind."""
    return [(opening, value) for commits, opening, value in stored if commits.hex() == commitment]
