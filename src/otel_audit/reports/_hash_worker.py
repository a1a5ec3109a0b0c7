"""A process that hashes rows for a verification: ``python -I _hash_worker.py DESCRIPTOR``.

It has no store and no file: what it is asked, and the bytes of the rows, come through the descriptor, the
answers go back through it. It ends with the process that started it, because the other end is then closed.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType


def serve(connection: Connection) -> None:
    """Answer each request (the arguments of ``hash_tiles``, then the bytes, then an empty message) until it closes."""
    from otel_audit.ledger.hashing import hash_tiles  # noqa: PLC0415 - see below

    while True:
        try:
            origin, start, end, is_fast = connection.recv()
        except EOFError:
            return
        data = iter(connection.recv_bytes, b"")
        tiles = hash_tiles(origin, start, end, data, is_fast=is_fast)
        for _ in data:
            pass  # what it did not want to see: the other end still sends it
        connection.send(tiles)


if __name__ == "__main__":
    # The package itself imports what applications need, which takes longer than hashing a small ledger.
    package = ModuleType("otel_audit")
    package.__path__ = [str(Path(__file__).parents[1])]
    sys.modules["otel_audit"] = package
    with Connection(int(sys.argv[1])) as ours:
        serve(ours)
