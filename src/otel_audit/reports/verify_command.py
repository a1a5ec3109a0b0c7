"""``otel-audit verify``."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.opened import read_anchors
from otel_audit.anchors.settings import load_anchors, parse_anchors
from otel_audit.errors import ConfigError
from otel_audit.ledger.note import VerifierKey
from otel_audit.ledger.trust import Trust, parse_trust
from otel_audit.reports.verification import Progress, format_report, verify_database
from otel_audit.store.database import open_for_reading
from otel_audit.store.folder import DataFolder

_EXIT_CODES: Final = {"ok": 0, "tampered": 1, "unverifiable": 1}
_BAR_STEPS: Final = 1000


@click.command(epilog="\b\nExample: otel-audit verify --data audit-data")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), envvar="OTEL_AUDIT_DATA", help="Data folder.")
@click.option("--url", envvar="OTEL_AUDIT_URL", help="ClickHouse server, http(s)://user:password@host:port/database.")
@click.option(
    "--anchor-dir",
    "--anchors",
    "anchor_dirs",
    type=click.Path(file_okay=False, path_type=Path),
    multiple=True,
    envvar="OTEL_AUDIT_ANCHOR_DIR",
    help="Folder with anchored checkpoints; may be given more than once.  [default: DATA-anchors]",
)
@click.option(
    "--anchors-from",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="OTEL_AUDIT_ANCHORS_FROM",
    help="TOML file of [[anchors]] to fetch and check, too: S3 buckets, and timestamps that there must be.",
)
@click.option(
    "--no-anchors", is_flag=True, help="Do not compare with anchors. What was rewritten as a whole then passes."
)
@click.option(
    "--trust",
    "trust_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='File with the verifier keys to trust: {"verifier_keys": [...]} or one key a line.',
)
@click.option("--from", "seq_from", type=click.IntRange(0), help="First entry to check.")
@click.option("--to", "seq_to", type=click.IntRange(0), help="Last entry to check.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def verify(
    *,
    data: Path | None,
    url: str | None,
    anchor_dirs: tuple[Path, ...],
    anchors_from: Path | None,
    no_anchors: bool,
    trust_file: Path | None,
    seq_from: int | None,
    seq_to: int | None,
    as_json: bool,
) -> None:
    """Recompute everything and say whether anything was altered. Works while `up` runs.

    Exit code 0: nothing was. 1: something was, or nothing could be proved. 2: it could not be checked.
    """
    folder = DataFolder(data) if data else None
    folders = [] if no_anchors else [FileAnchor(path) for path in anchor_dirs or ([folder.anchors] if folder else [])]
    missing = [str(anchor.folder) for anchor in folders if not anchor.folder.is_dir()]
    if missing and anchor_dirs:
        raise ConfigError(f"{missing[0]}: there is no such anchor folder. Check --anchor-dir")
    trust = _trusted(trust_file, folders, folder)
    expected = [folder.identity().origin] if folder else []
    external = (*parse_anchors(trust.anchors, str(trust_file)), *(load_anchors(anchors_from) if anchors_from else ()))
    origins = {*expected, *(key.name for key in trust.verifier_keys)} or None
    anchors = None if no_anchors else read_anchors(folders, external, trust.tsa_roots, origins)
    with open_for_reading(data, url) as database, _progress(hidden=as_json or not sys.stderr.isatty()) as progress:
        report = verify_database(
            database,
            trust=trust,
            anchors=anchors,
            expected=expected,
            seq_from=seq_from,
            seq_to=seq_to,
            progress=progress,
        )
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else format_report(report), nl=as_json)
    raise click.exceptions.Exit(_EXIT_CODES[report.status])


def _trusted(trust_file: Path | None, anchors: list[FileAnchor], folder: DataFolder | None) -> Trust:
    """What to believe: the file given, else the keys that the anchors remember, else the data folder's own keys."""
    if trust_file is not None:
        try:
            text = trust_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"{trust_file}: can not be read as a trust file: {exc}") from exc
        return parse_trust(text, str(trust_file))
    remembered = Trust().with_keys(key for anchor in anchors for key in anchor.trusted_keys())
    if remembered.verifier_keys or folder is None:
        return remembered
    return Trust().with_keys(VerifierKey.parse(text) for text in folder.verifier_keys())


@contextlib.contextmanager
def _progress(*, hidden: bool) -> Iterator[Progress | None]:
    if hidden:
        yield None
        return
    with click.progressbar(length=_BAR_STEPS, label="Recomputing", file=sys.stderr) as bar:

        def tell(done: int, total: int) -> None:
            bar.update(done * _BAR_STEPS // max(total, 1) - bar.pos)

        yield tell
