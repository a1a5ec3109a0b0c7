"""An export in a zip with its manifest: what it is, how much was really written, and its SHA-256. Streamed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from otel_audit.reports.export import Blocks, Pieces, Row

MANIFEST: Final = "manifest.json"


class Counted:
    """Blocks of entries, counted as they pass."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self.entries = 0

    def __iter__(self) -> Iterator[list[Row]]:
        for rows in self._blocks:
            self.entries += len(rows)
            yield rows


def packed(name: str, pieces: Iterable[bytes], about: Callable[[], Mapping[str, Any]]) -> Iterator[bytes]:
    """A zip of the file ``name`` made of ``pieces``, then of its manifest, piece by piece in constant memory.

    ``about`` is called when the file is whole. The zip ends with its directory: one that was cut off does not open,
    so nobody takes half an export for all of it.
    """
    out, digest, size = Pieces(), hashlib.sha256(), 0
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(name, "w", force_zip64=True) as file:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                file.write(piece)
                yield out.take()
        manifest = {"file": name, "bytes": size, "sha256": digest.hexdigest(), **about()}
        archive.writestr(MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    yield out.take()
