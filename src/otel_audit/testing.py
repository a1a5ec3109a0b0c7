"""Public fakes for tests: a clock that stands still, and a ledger in memory whose inserts can be made to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from otel_audit.errors import StoreUnavailable
from otel_audit.ledger.encoding import genesis_hash
from otel_audit.ledger.keys import Rotation
from otel_audit.ledger.tiles import Tile
from otel_audit.store.writer import Head, KnownEvent, LedgerWriter

Fault = Literal["not persisted", "persisted but errored"]


class FixedClock:
    """Nanoseconds since 1970 that move only when told to.

    >>> clock = FixedClock(5)
    >>> clock.advance(2)
    >>> clock()
    7
    """

    def __init__(self, unix_nano: int = 0) -> None:
        self.unix_nano = unix_nano

    def __call__(self) -> int:
        """Now."""
        return self.unix_nano

    def advance(self, nanoseconds: int) -> None:
        """Move the clock forward."""
        self.unix_nano += nanoseconds


class MemoryLedger(LedgerWriter):
    """A ledger's store in memory. ``fault`` is asked before each step and may make it fail, in both ways.

    ``fault(step, number)`` gets the method's name and how often it was called before; it returns None to let
    the step pass. ``rows`` are (encoding + hash) in the order of their sequence numbers.
    """

    def __init__(self, origin: str, fault: Callable[[str, int], Fault | None] = lambda _step, _number: None) -> None:
        self.origin = origin
        self.fault = fault
        self.calls: dict[str, int] = {}
        self.blocks: list[bytes] = []
        self.contents: list[bytes] = []
        self.hashes: list[bytes] = []
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.notes: list[str] = []
        self.known: list[KnownEvent] = []
        self.rotated: list[Rotation] = []
        self.split: Callable[[bytes], list[bytes]] = lambda _block: []

    def append_content(self, block: bytes) -> None:
        """Keep a block of texts."""
        self._step("append_content", lambda: self.contents.append(block))

    def append_entries(self, block: bytes) -> None:
        """Keep a block of entries; ``split`` tells the hashes in it."""

        def persist() -> None:
            self.blocks.append(block)
            self.hashes += self.split(block)

        self._step("append_entries", persist)

    def append_tiles(self, tiles: Sequence[Tile]) -> None:
        """Keep full tiles."""
        self._step("append_tiles", lambda: self.tiles.update({(tile.level, tile.index): tile.hashes for tile in tiles}))

    def append_checkpoint(self, size: int, root_hash: bytes, created_unix_nano: int, note: str) -> None:
        """Keep a signed checkpoint."""
        del size, root_hash, created_unix_nano
        self._step("append_checkpoint", lambda: self.notes.append(note))

    def head(self) -> Head:
        """Where the ledger ends."""
        self._step("head", lambda: None)
        return Head(len(self.hashes), self.hashes[-1] if self.hashes else genesis_hash(self.origin))

    def newest_recorded(self) -> int:
        """No times are kept."""
        return 0

    def leaf_hashes(self, start: int, end: int) -> list[bytes]:
        """Hashes of entries [start, end)."""
        return self.hashes[start:end]

    def full_tile_count(self) -> int:
        """How many level-0 tiles are kept."""
        return sum(level == 0 for level, _ in self.tiles)

    def full_tile(self, level: int, index: int) -> bytes:
        """One tile."""
        return self.tiles[level, index]

    def newest_checkpoint(self) -> str | None:
        """The newest note."""
        return self.notes[-1] if self.notes else None

    def rotations(self) -> list[Rotation]:
        """The entries in ``rotated``: blocks are not decoded."""
        return list(self.rotated)

    def recent_event_ids(self, start: int) -> Iterator[list[bytes]]:
        """Event ids of what is known."""
        yield [known.event_id.encode() for known in self.known if known.seq >= start]

    def recent_calls(self, start: int, limit: int) -> list[dict[str, Any]]:
        """No columns are kept."""
        del start, limit
        return []

    def known_events(self, event_ids: Sequence[str]) -> list[KnownEvent]:
        """Entries under these ids."""
        return [known for known in self.known if known.event_id in event_ids]

    def openings(self, seqs: Sequence[int]) -> dict[tuple[int, str, bytes], bytes]:
        """No opening is kept."""
        del seqs
        return {}

    def _step(self, name: str, persist: Callable[[], None]) -> None:
        number = self.calls.get(name, 0)
        self.calls[name] = number + 1
        fault = self.fault(name, number)
        if fault != "not persisted":
            persist()
        if fault is not None:
            raise StoreUnavailable(f"{name}: {fault}")
