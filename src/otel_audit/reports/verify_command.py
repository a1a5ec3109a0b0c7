"""``otel-audit verify``."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from otel_audit.anchors import AnchorReading
from otel_audit.anchors.file import FileAnchor
from otel_audit.errors import ConfigError
from otel_audit.ledger.note import VerifierKey
from otel_audit.reports.bundle.check import format_bundle_report, verify_bundle
from otel_audit.reports.verification import Progress, format_report, verify_database
from otel_audit.store.database import open_for_reading
from otel_audit.store.folder import DataFolder

_EXIT_CODES: Final = {"ok": 0, "tampered": 1, "unverifiable": 1}
_BAR_STEPS: Final = 1000


@click.command(
    epilog="\b\nExamples:\n  otel-audit verify --data audit-data\n  otel-audit verify loan-4711.zip --trust trust.json"
)
@click.argument("bundle", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
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
    bundle: Path | None,
    data: Path | None,
    url: str | None,
    anchor_dirs: tuple[Path, ...],
    no_anchors: bool,
    trust_file: Path | None,
    seq_from: int | None,
    seq_to: int | None,
    as_json: bool,
) -> None:
    """Recompute everything and say whether anything was altered. Works while `up` runs.

    With BUNDLE, an evidence bundle is checked instead of a store; --trust then has to say which keys to believe.

    Exit code 0: nothing was. 1: something was, or nothing could be proved. 2: it could not be checked.
    """
    if bundle is not None:
        found = verify_bundle(bundle, trust_file)
        click.echo(json.dumps(found.to_json(), indent=2) if as_json else format_bundle_report(found), nl=as_json)
        raise click.exceptions.Exit(_EXIT_CODES[found.status])
    folder = DataFolder(data) if data else None
    folders = [] if no_anchors else [FileAnchor(path) for path in anchor_dirs or ([folder.anchors] if folder else [])]
    missing = [str(anchor.folder) for anchor in folders if not anchor.folder.is_dir()]
    if missing and anchor_dirs:
        raise ConfigError(f"{missing[0]}: there is no such anchor folder. Check --anchor-dir")
    readings = [anchor.read_all() for anchor in folders]
    anchors = AnchorReading(
        tuple(checkpoint for reading in readings for checkpoint in reading.checkpoints),
        tuple(damage for reading in readings for damage in reading.damaged),
    )
    trust = _trusted(trust_file, folders, folder)
    expected = [folder.identity().origin] if folder else []
    with open_for_reading(data, url) as database, _progress(hidden=as_json or not sys.stderr.isatty()) as progress:
        report = verify_database(
            database,
            trust=trust,
            anchors=None if no_anchors else anchors,
            expected=expected,
            seq_from=seq_from,
            seq_to=seq_to,
            progress=progress,
        )
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else format_report(report), nl=as_json)
    raise click.exceptions.Exit(_EXIT_CODES[report.status])


def _trusted(trust_file: Path | None, anchors: list[FileAnchor], folder: DataFolder | None) -> list[VerifierKey]:
    """The keys to believe: those given, else those the anchors remember, else the data folder's own."""
    if trust_file is not None:
        text = trust_file.read_text(encoding="utf-8")
        try:
            lines = json.loads(text)["verifier_keys"] if text.lstrip().startswith("{") else text.split()
        except (ValueError, KeyError) as exc:
            raise ConfigError(f'{trust_file}: expected {{"verifier_keys": [...]}} or one key a line') from exc
        return [VerifierKey.parse(line) for line in lines]
    remembered = [key for anchor in anchors for key in anchor.trusted_keys()]
    if remembered or folder is None:
        return list(dict.fromkeys(remembered))
    return [VerifierKey.parse(text) for text in folder.verifier_keys()]


@contextlib.contextmanager
def _progress(*, hidden: bool) -> Iterator[Progress | None]:
    if hidden:
        yield None
        return
    with click.progressbar(length=_BAR_STEPS, label="Recomputing", file=sys.stderr) as bar:

        def tell(done: int, total: int) -> None:
            bar.update(done * _BAR_STEPS // max(total, 1) - bar.pos)

        yield tell
