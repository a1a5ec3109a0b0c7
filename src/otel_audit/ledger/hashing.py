"""Leaf hashes of many rows at once, from the bytes in which a store delivers them.

The bytes are ClickHouse's ``RowBinary`` of all columns and of ``hash``, row after row, and nothing says where a row
ends. It is found by looking for the columns that each row begins with. A text may hold the same bytes; then a
hash does not come out, and the rows are read again another way. So a cut in the wrong place costs time, and is no
risk: where every byte belongs to a row, and every row to its hash, the bytes are those that were hashed, and
``RowBinary`` can be read as one sequence of values only.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from operator import lt
from typing import Final

from otel_audit.errors import MalformedInput
from otel_audit.ledger.blocks import HashedTile, RowBlock, chunks
from otel_audit.ledger.encoding import HASH_SIZE, LEAF_PREFIX, origin_prefix
from otel_audit.ledger.merkle import tree_root
from otel_audit.ledger.tiles import TILE_WIDTH

_sha256 = hashlib.sha256
_AT_ONCE: Final = 1 << 20  # bytes of rows
_SEQ_SIZE: Final = 8
_POSITION_SIZE: Final = _SEQ_SIZE + HASH_SIZE  # seq and prev_hash, which follow the origin
_DIGEST: Final = struct.Struct("<Q32s32s32s")  # seq, prev_hash, hash, and the hash that the engine computed


def hash_tiles(
    origin: str, start: int, end: int, data: Iterable[bytes], *, is_fast: bool = False
) -> list[HashedTile | RowBlock] | None:
    """Hash the rows with seq in [start, end), of which ``start`` begins a tile; ``data`` are their bytes in order.

    Returns each tile: as HashedTile, or as rows with their hashes where some are missing. None when anything is
    wrong with a row, or a whole tile is missing: then every row has to be looked at.

    With ``is_fast`` ``data`` are, for each row, seq, prev_hash, hash and the hash that the engine computed.
    """
    tiles: list[HashedTile | RowBlock] = []
    try:
        for rows in chunks(_digests(data) if is_fast else _hashed_rows(origin, data)):
            if not isinstance(rows, RowBlock) or rows.first_seq // TILE_WIDTH != start // TILE_WIDTH + len(tiles):
                return None
            tiles.append(_condensed(rows))
    except MalformedInput:
        return None
    return tiles if start + len(tiles) * TILE_WIDTH >= end else None


def _condensed(rows: RowBlock) -> HashedTile | RowBlock:
    first, leaves = rows.first_seq, rows.encodings
    if len(leaves) < TILE_WIDTH or rows.prev_hashes[1:] != leaves[:-1]:
        return rows
    return HashedTile(first, rows.first_prev, b"".join(leaves), tree_root(leaves))


def _hashed_rows(origin: str, data: Iterable[bytes]) -> Iterator[RowBlock]:
    begin = origin_prefix(origin)
    hashed_begin = LEAF_PREFIX + begin
    for rows in _whole_rows(data, begin):
        before, *parts = rows.split(begin)
        leaves = [_sha256(hashed_begin + part[:-HASH_SIZE]).digest() for part in parts]  # leaf_hash, inlined
        hashes = [part[-HASH_SIZE:] for part in parts]
        positions = [part[:_POSITION_SIZE] for part in parts]
        if before or min(map(len, positions)) < _POSITION_SIZE:
            raise MalformedInput("the rows do not begin as entries of this ledger do")
        seqs = struct.unpack(f"<{len(parts)}Q", b"".join([position[:_SEQ_SIZE] for position in positions]))
        prev_hashes = [position[_SEQ_SIZE:] for position in positions]
        yield _checked(RowBlock([*seqs], prev_hashes, hashes, leaves, is_hashed=True))


def _digests(data: Iterable[bytes]) -> Iterator[RowBlock]:
    held = b""
    for part in data:
        rows = held + part
        end = len(rows) - len(rows) % _DIGEST.size
        held = rows[end:]
        if end:
            seqs, prev_hashes, hashes, leaves = map(list, zip(*_DIGEST.iter_unpack(rows[:end]), strict=True))
            yield _checked(RowBlock(seqs, prev_hashes, hashes, leaves, is_hashed=True))
    if held:
        raise MalformedInput(f"{len(held)} bytes follow the last row")


def _checked(rows: RowBlock) -> RowBlock:
    if rows.encodings != rows.hashes or not all(map(lt, rows.seqs, rows.seqs[1:])):
        raise MalformedInput("a stored hash is not that of its row, or the rows are not in order")
    return rows


def _whole_rows(data: Iterable[bytes], begin: bytes) -> Iterator[bytes]:
    """Join and cut ``data`` so that each piece ends where a row may end."""
    held: list[bytes] = []
    size, wanted = 0, _AT_ONCE
    for part in data:
        held.append(part)
        size += len(part)
        if size < wanted:
            continue
        joined = b"".join(held)
        cut = max(joined.rfind(begin), 0)
        if cut:
            yield joined[:cut]
        held, size = [joined[cut:]], len(joined) - cut
        wanted = max(_AT_ONCE, 2 * size)  # of a row that is larger than this
    if size:
        yield b"".join(held)
