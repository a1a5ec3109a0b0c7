"""``otel-audit bundle``."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from otel_audit.ledger.note import Signer
from otel_audit.reports.bundle.evidence import Collector
from otel_audit.reports.bundle.writer import Making, write_bundle
from otel_audit.reports.evidence_sources import evidence_to_hand_over
from otel_audit.reports.options import chosen_store, filter_from, filter_options, open_store, store_options
from otel_audit.reports.read_commands import whole_file
from otel_audit.store.folder import DataFolder
from otel_audit.taken import maker, record_taken


@click.command(
    epilog="\b\nExample:\n  otel-audit bundle --data audit-data --task loan-4711 --out loan-4711.zip "
    '--purpose "complaint 4821"'
)
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The zip file to write.")
@filter_options
@click.option(
    "--purpose",
    metavar="WORDS",
    required=True,
    help="Why it is made: stated in the bundle, and recorded in the ledger.",
)
@click.option(
    "--anchor-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OTEL_AUDIT_ANCHOR_DIR",
    help="Folder with anchored checkpoints.  [default: DATA-anchors]",
)
@click.option(
    "--anchors-from",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="OTEL_AUDIT_ANCHORS_FROM",
    help="TOML file of [[anchors]]: checkpoints in S3 buckets are fetched, too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what the bundle holds as JSON.")
@store_options
def bundle(
    *,
    data: Path | None,
    url: str | None,
    out: Path,
    purpose: str,
    anchor_dir: Path | None,
    anchors_from: Path | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Write an evidence bundle: entries, texts, proofs and a program that checks them, in one zip.

    What is under no checkpoint yet is left out, and counted. The file has its name only once it is whole. Where a
    receiver is running on DATA, the ledger records who took it, and why, before that.
    """
    where = filter_from(filters)
    data, url = chosen_store(data, url)
    folder = DataFolder(data) if data else None
    anchors = evidence_to_hand_over(folder, anchor_dir, anchors_from)
    for trouble in (*anchors.damaged, *(f"{each.code}: {each.detail}" for each in anchors.findings)):
        click.echo(f"Anchors: {trouble}", err=True)
    making = Making(time.time_ns(), maker(), purpose, version("otel-audit"))
    with open_store(data, url) as database, whole_file(out) as file:
        collector = Collector(database, where, anchors)
        made = write_bundle(file, collector, making, signer=signer_of(folder), scratch=out.resolve().parent)
        record_taken(data, "bundle", where, rows=made.entries + made.related, purpose=purpose)
    if as_json:
        click.echo(json.dumps(asdict(made), indent=2))
        return
    click.echo(f"{made.entries:,} entries and {made.related:,} that explain them written to {out}", err=True)
    if made.not_sealed:
        click.echo(
            f"{made.not_sealed:,} matching entries are under no checkpoint yet and were left out: run otel-audit "
            "checkpoint, then this again",
            err=True,
        )
    if not made.signed:
        click.echo("The manifest is not signed: the ledger's key is not here (give --data)", err=True)


def signer_of(folder: DataFolder | None) -> Signer | None:
    """The ledger's key, which signs the manifest; None where it is not."""
    return folder.signer() if folder is not None and folder.exists() else None
