"""A bounded memory of event ids: "surely new" or "maybe there already, ask the store"."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

_BITS_PER_ID: Final = 12  # with 8 probes about 3 false alarms in 1,000; each costs one point lookup
_PROBES: Final = 8


class _Bloom:
    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.count = 0
        self._bits = np.zeros(capacity * _BITS_PER_ID // 8 + 1, dtype=np.uint8)

    def positions(self, digests: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        probes = np.arange(_PROBES, dtype=np.uint64)
        size = np.uint64(len(self._bits) * 8)
        with np.errstate(over="ignore"):
            positions: npt.NDArray[np.uint64] = (digests[:, :1] + probes * (digests[:, 1:] | np.uint64(1))) % size
        return positions

    def add(self, digests: npt.NDArray[np.uint64]) -> None:
        positions = self.positions(digests).ravel()
        np.bitwise_or.at(self._bits, positions >> np.uint64(3), (1 << (positions & np.uint64(7))).astype(np.uint8))
        self.count += len(digests)

    def contains(self, digests: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        positions = self.positions(digests)
        bits = self._bits[positions >> np.uint64(3)] >> (positions & np.uint64(7)).astype(np.uint8) & 1
        found: npt.NDArray[np.bool_] = bits.all(axis=1)
        return found


class KnownIds:
    """Remembers at least the newest ``capacity`` event ids in constant memory (3 bytes an id).

    Two Bloom filters: when the young one is full it becomes the old one. An id that is in neither is
    surely new, within that window.
    """

    def __init__(self, capacity: int) -> None:
        self._young = _Bloom(capacity)
        self._old = _Bloom(1)

    def add(self, event_ids: Sequence[bytes]) -> None:
        """Remember these ids."""
        if not event_ids:
            return
        if self._young.count + len(event_ids) > self._young.capacity:
            self._young, self._old = _Bloom(self._young.capacity), self._young
        self._young.add(_digests(event_ids))

    def maybe_known(self, event_ids: Sequence[bytes]) -> list[bool]:
        """For each id: False = surely new, True = ask the store."""
        if not event_ids:
            return []
        digests = _digests(event_ids)
        known: list[bool] = (self._young.contains(digests) | self._old.contains(digests)).tolist()
        return known


def _digests(event_ids: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    joined = b"".join([hashlib.blake2b(event_id, digest_size=16).digest() for event_id in event_ids])
    return np.frombuffer(joined, dtype=np.uint64).reshape(-1, 2)
