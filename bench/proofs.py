"""``python bench/proofs.py``: one entry's proof in a ledger of 10 million, beside SHA-256 of the tiles it reads.

The leaf hashes are made up; the tiles over them are real, and are read from the engine.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from otel_audit.ledger.merkle import inclusion_proof
from otel_audit.ledger.tiles import TILE_BYTES, TILE_WIDTH, tile_root, tile_subtrees
from otel_audit.store.database import Role, open_embedded
from otel_audit.store.evidence import EvidenceReader
from otel_audit.store.folder import DataFolder
from otel_audit.store.migrate import migrate

SIZE = 10_000_000
ORIGIN = "bench/proofs"
ROUNDS = 20


def main() -> None:
    # 1000 different tiles, over and over: what is measured is reading and hashing, which does not depend on it.
    made = [os.urandom(TILE_BYTES) for _ in range(1000)]
    roots = [tile_root(tile) for tile in made]
    level0 = SIZE // TILE_WIDTH
    level1 = [
        b"".join(roots[(first + number) % 1000] for number in range(TILE_WIDTH))
        for first in range(0, level0 - TILE_WIDTH + 1, TILE_WIDTH)
    ]
    tail = [os.urandom(32) for _ in range(SIZE % TILE_WIDTH)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = DataFolder(Path(scratch) / "data")
        folder.create(ORIGIN)
        database = open_embedded(folder, Role.ADMIN)
        migrate(database)
        names = ["origin", "level", "tile_index", "hashes"]
        with database.client() as client:
            for start in range(0, level0, 4096):
                rows = [[ORIGIN, 0, index, made[index % 1000]] for index in range(start, min(level0, start + 4096))]
                client.insert("audit_tiles", rows, names)
            client.insert("audit_tiles", [[ORIGIN, 1, index, tile] for index, tile in enumerate(level1)], names)
        reader = EvidenceReader(database)
        read: list[bytes] = []

        def tile(level: int, index: int) -> bytes:
            read.append(reader.tile(ORIGIN, level, index))
            return read[-1]

        taken, costs, limits = [], [], []
        for seq in np.linspace(0, SIZE - 1, ROUNDS, dtype=int).tolist():
            read.clear()
            begun, before = time.perf_counter(), time.process_time()
            subtrees = reader.subtrees(ORIGIN, SIZE, tail)
            proof = inclusion_proof(seq, SIZE, subtrees)
            taken.append(time.perf_counter() - begun)
            costs.append(time.process_time() - before)
            slow = inclusion_proof(seq, SIZE, tile_subtrees(SIZE, tile, tail))
            assert proof == slow
            begun = time.perf_counter()
            for each in read:
                for at in range(0, TILE_BYTES, 64):
                    hashlib.sha256(each[at : at + 64]).digest()
            limits.append(time.perf_counter() - begun)
        database.close()
    once = statistics.median(taken)
    print(
        f"proof of one entry of {SIZE:,}: {once * 1000:.1f} ms, {once / statistics.median(limits):.1f} times hashing; "
        f"{statistics.median(costs) * 1000:.1f} ms of processor"
    )


if __name__ == "__main__":
    main()
