"""The careful look at 256 entries of which at least one is not as it should be, and the names for what is wrong.

An entry's *sealed* leaf hash is what the ledger held at that seq, as told by witnesses inside the store: the tile,
the ``prev_hash`` of the next entry, the stored ``hash``. Each can be forged, so that roots computed from sealed
hashes still have to match signed checkpoints: that is ``verify``'s part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from otel_audit.errors import MalformedInput
from otel_audit.ledger.blocks import Row
from otel_audit.ledger.diagnosis import Candidates, Movable, find_altered_column
from otel_audit.ledger.encoding import leaf_hash
from otel_audit.ledger.findings import Code, Findings

_PLACED: Final = 200  # suspects of which each is tried at the place of each other
_SEARCHED: Final = 64  # suspects of which every column is tried: up to 50,000 hashes each


@dataclass(frozen=True, slots=True)
class Suspect:
    """An entry that is not what was sealed: ``row`` is None when it is gone, ``sealed`` when nobody knows.

    ``prev_hash`` is the sealed hash of the entry before. ``column`` is set when it is known already.
    """

    code: Code
    seq: int
    row: Row | None
    sealed: bytes | None
    prev_hash: bytes | None
    column: str | None = None


@dataclass(slots=True)
class Examined:
    """What 256 seqs turned out to be: their sealed leaf hashes (None: unknown), and all suspects.

    ``present`` are the seqs at which a row stands for the entry, altered or not.

    ``diverged`` are the seqs where rows that agree with each other disagree with the tile: either was altered,
    and only a signed root can tell which. ``leaves`` follow the rows there. ``doubts`` are seqs where nobody but
    the row itself knows the hash, and its two claims differ: ``leaves`` has the stored hash, this the computed one.
    """

    leaves: list[bytes | None] = field(default_factory=list)
    suspects: list[Suspect] = field(default_factory=list)
    present: set[int] = field(default_factory=set)
    diverged: list[int] = field(default_factory=list)
    doubts: dict[int, bytes] = field(default_factory=dict)


class _Witnesses(NamedTuple):
    """What tells the sealed hash of one seq: its tile, the entry after it, and the hash before it."""

    in_tile: bytes | None
    following: bytes | None
    prev_leaf: bytes | None


def examine(
    rows: Sequence[Row],
    start: int,
    end: int,
    *,
    prev_leaf: bytes | None,
    next_prev: bytes | None,
    tile: Sequence[bytes] | None,
) -> Examined:
    """Look at the rows of the seqs [start, end) one by one.

    ``prev_leaf`` is the leaf hash before them, ``next_prev`` the ``prev_hash`` of the entry after them and
    ``tile`` their leaf hashes as stored in the tree, each as far as known.
    """
    by_seq: dict[int, list[Row]] = {}
    for row in rows:
        by_seq.setdefault(row.seq, []).append(row)
    result = Examined()
    for seq in range(start, end):
        here = by_seq.get(seq, [])
        in_tile = tile[seq - start] if tile else None
        following = next_prev
        if seq + 1 < end:
            known: set[bytes | None] = {tile[seq + 1 - start] if tile else None}
            known.update([row.prev_hash for row in by_seq.get(seq + 2, ())])
            known.add(next_prev if seq + 2 == end else None)
            following = _named_by_next(by_seq.get(seq + 1, []), known, here)
        prev_leaf = _judge(result, seq, here, _Witnesses(in_tile, following, prev_leaf))
        result.leaves.append(prev_leaf)
    return result


def _named_by_next(rows: list[Row], known: set[bytes | None], before: list[Row]) -> bytes | None:
    """The hash that the next entry names as its predecessor, if that entry is to be believed.

    It must be intact, and its own hash be ``known`` to others, if there are any. Otherwise it is still believed
    when it names what one of the rows ``before`` it hashes to, which is no accident, or when none is there.
    """
    nobody_knows = known == {None}
    for row in rows:
        computed = leaf_hash(row.encoding)
        if computed == row.hash and (nobody_knows or computed in known):
            return row.prev_hash
    hashes = {leaf_hash(row.encoding) for row in before}
    named = [row.prev_hash for row in rows if not before or row.prev_hash in hashes]
    return named[0] if named else None


def _judge(result: Examined, seq: int, rows: list[Row], witnesses: _Witnesses) -> bytes | None:
    """Judge the rows at one seq; return its sealed leaf hash as far as the rows, or the witnesses, tell."""
    if not rows:
        sealed = witnesses.in_tile or witnesses.following
        result.suspects.append(Suspect(Code.ROW_DELETED, seq, None, sealed, witnesses.prev_leaf))
        return sealed
    # Of several rows one is the entry: the one that most witnesses know.
    distinct = list(dict.fromkeys(rows))
    best = max(distinct, key=lambda row: _credit(row, witnesses))
    others = [row for row in distinct if row is not best]
    result.suspects += [Suspect(Code.ROW_INSERTED, seq, row, None, witnesses.prev_leaf) for row in others]
    if len(distinct) < len(rows):
        result.suspects.append(Suspect(Code.ROW_DUPLICATED, seq, best, None, witnesses.prev_leaf))
    result.present.add(seq)
    leaf = leaf_hash(best.encoding)
    if leaf == best.hash:
        return _judge_intact(result, best, witnesses)
    return _judge_changed(result, best, leaf, witnesses)


def _judge_changed(result: Examined, row: Row, leaf: bytes, witnesses: _Witnesses) -> bytes | None:
    """Judge a row whose encoding does not have the stored hash: it was changed, or only its hash column."""
    in_tile, following, prev_leaf = witnesses
    if leaf in (in_tile, following):
        result.suspects.append(Suspect(Code.ROW_MODIFIED, row.seq, row, leaf, prev_leaf, "hash"))
        return leaf
    sealed = in_tile or following
    if sealed is None:
        if prev_leaf not in (None, row.prev_hash) and not _is_only_unlinked(row, prev_leaf):
            # No link, no hash and no witness: it never was an entry of this ledger.
            result.suspects.append(Suspect(Code.ROW_INSERTED, row.seq, row, None, prev_leaf))
            result.present.discard(row.seq)
            return None
        result.doubts[row.seq] = leaf
    result.suspects.append(Suspect(Code.ROW_MODIFIED, row.seq, row, sealed or row.hash, prev_leaf))
    return sealed or row.hash


def _is_only_unlinked(row: Row, prev_leaf: bytes | None) -> bool:
    """Tell whether nothing but ``prev_hash`` was altered."""
    try:
        return Movable(row.encoding).hash_at(row.seq, prev_leaf) == row.hash
    except MalformedInput:
        return False


def _judge_intact(result: Examined, row: Row, witnesses: _Witnesses) -> bytes:
    """Judge a row that has the right hash for what it holds now, which may not be the hash that was sealed."""
    in_tile, following, prev_leaf = witnesses
    sealed = in_tile or following or row.hash
    if sealed == row.hash:
        if prev_leaf not in (None, row.prev_hash):
            code = Code.ROW_INSERTED if in_tile is None else Code.CHAIN_REBUILT
            result.suspects.append(Suspect(code, row.seq, row, None, prev_leaf))
        return sealed
    if in_tile is not None and following in (None, row.hash):
        result.diverged.append(row.seq)
        return row.hash
    result.suspects.append(Suspect(Code.ROW_MODIFIED, row.seq, row, sealed, prev_leaf))
    return sealed


def _credit(row: Row, witnesses: _Witnesses) -> tuple[bool, ...]:
    in_tile, following, prev_leaf = witnesses
    leaf = leaf_hash(row.encoding)
    return (
        leaf == in_tile,
        leaf == following,
        leaf == row.hash and row.prev_hash == prev_leaf,
        row.hash in (in_tile, following),
        leaf == row.hash,
        row.prev_hash == prev_leaf,
    )


def name_suspects(
    suspects: Sequence[Suspect],
    holes: Sequence[tuple[int, int]],
    findings: Findings,
    candidates: Candidates | None,
    elsewhere: frozenset[int] = frozenset(),
) -> None:
    """Turn suspects and ``holes`` (ranges of missing seqs) into findings.

    1. A row that has the sealed hash of another suspect's seq once it is put there was moved.
    2. Two that were moved to each other's place were reordered; one that fills a hole had its seq altered.
    3. For what is left of the modified ones, the altered column is searched, if there are ``candidates``.
    4. What is left of the holes was deleted, unless it was found ``elsewhere``.
    """
    origins = _find_origins(suspects) if candidates else {}  # 1
    gone = {suspect.seq for suspect in suspects if suspect.row is None}
    filled: set[int] = set()
    for at, (place, row) in list(origins.items()):  # 2
        if place in gone:
            findings.add(Code.ROW_MODIFIED, f"entry {place} is stored under seq {row.seq}", seq=place, column="seq")
            filled.add(place)
        elif suspects[at].code is Code.ROW_MODIFIED:
            detail = f"seq {row.seq} holds what was sealed as entry {place}"
            findings.add(Code.ROW_REORDERED, detail, seq=row.seq)
        else:
            del origins[at]
    searched, altered = 0, set[str]()
    for at, suspect in enumerate(suspects):
        if suspect.row is None or at in origins:
            continue
        if suspect.code is not Code.ROW_MODIFIED:
            findings.add(suspect.code, _DETAILS[suspect.code], seq=suspect.seq)
            continue
        # 3. Whoever alters many rows alters the same columns: those are tried first, and beyond a number only those.
        column, detail = _name_column(suspect, candidates, altered)
        if column is None and searched < _SEARCHED:
            searched += 1
            column, detail = _name_column(suspect, candidates, None)
        if column is not None:
            altered.add(column)
        findings.add(Code.ROW_MODIFIED, detail, seq=suspect.seq, column=column)
    report_holes(_without(holes, filled | elsewhere), findings)  # 4


_DETAILS: Final = {
    Code.ROW_DUPLICATED: "the same row is stored more than once",
    Code.ROW_INSERTED: "a row that was never sealed into the ledger: nothing before or after it knows it",
    Code.CHAIN_REBUILT: "the entry does not continue the one before it, though the tree holds both",
}


def _find_origins(suspects: Sequence[Suspect]) -> dict[int, tuple[int, Row]]:
    """Index of each suspect whose row belongs to another suspect's seq -> that seq, and the row."""
    places = [suspect for suspect in suspects if suspect.sealed is not None][:_PLACED]
    found: dict[int, tuple[int, Row]] = {}
    for at, suspect in enumerate(suspects[:_PLACED]):
        if suspect.row is None or suspect.code is Code.ROW_DUPLICATED:
            continue
        try:
            movable = Movable(suspect.row.encoding)
        except MalformedInput:
            continue  # Of another schema version: its columns are not ours to move.
        for place in places:
            if place.seq != suspect.seq and movable.hash_at(place.seq, place.prev_hash) == place.sealed:
                found[at] = (place.seq, suspect.row)
                break
    return found


def _name_column(suspect: Suspect, candidates: Candidates | None, among: set[str] | None) -> tuple[str | None, str]:
    row = suspect.row
    if row is None or suspect.column is not None:
        return suspect.column, "the stored hash is not the one of the entry; the entry itself is intact"
    changed = "the row is not what was sealed"
    if candidates is None or suspect.sealed is None:
        return None, changed
    sealed = {suspect.sealed, row.hash}
    altered = find_altered_column(row.encoding, row.seq, sealed, suspect.prev_hash, candidates, among=among)
    if altered is None:
        again = " (and its hash was recomputed)" if leaf_hash(row.encoding) == row.hash else ""
        return None, f"{changed}{again}; several columns were changed, or one to a value seen nowhere else"
    return altered.name, f"{changed}: {altered.name} is {altered.stored}, was sealed as {altered.sealed}"


def report_holes(holes: Iterable[tuple[int, int]], findings: Findings) -> None:
    """Report missing entries, one finding for each range [start, end). From entry 0 on, they are a removed prefix."""
    for start, end in holes:
        many = f"entries {start} to {end - 1} are missing ({end - start})"
        detail = f"entry {start} is missing" if end == start + 1 else many
        findings.add(Code.ROW_DELETED if start else Code.PREFIX_REMOVED, detail, seq=start)


def _without(holes: Iterable[tuple[int, int]], seqs: set[int]) -> Iterator[tuple[int, int]]:
    for start, end in holes:
        rest = start
        for seq in sorted(seq for seq in seqs if start <= seq < end):
            if rest < seq:
                yield rest, seq
            rest = seq + 1
        if rest < end:
            yield rest, end
