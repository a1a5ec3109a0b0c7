"""``otel-audit bundle``."""

from __future__ import annotations

import getpass
import json
import time
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from otel_audit.anchors.settings import load_anchors
from otel_audit.ledger.note import Signer
from otel_audit.model import Filter
from otel_audit.receiver.control_client import record_access
from otel_audit.reports.bundle.evidence import Collector
from otel_audit.reports.bundle.writer import Making, write_bundle
from otel_audit.reports.evidence_sources import evidence_to_hand_over
from otel_audit.reports.options import filter_from, filter_options, open_store, store_options
from otel_audit.reports.read_commands import whole_file
from otel_audit.store.folder import DataFolder


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
    folder = DataFolder(data) if data else None
    place = anchor_dir or (folder.anchors if folder else None)
    external = load_anchors(anchors_from) if anchors_from else ()
    origins = [folder.identity().origin] if folder and external else None
    anchors = evidence_to_hand_over(place, external, origins)
    for trouble in (*anchors.damaged, *(f"{each.code}: {each.detail}" for each in anchors.findings)):
        click.echo(f"Anchors: {trouble}", err=True)
    making = Making(time.time_ns(), maker(), purpose, version("otel-audit"))
    with open_store(data, url) as database, whole_file(out) as file:
        collector = Collector(database, where, anchors.checkpoints)
        made = write_bundle(file, collector, making, signer=signer_of(folder), scratch=out.resolve().parent)
        taken: dict[str, str | int] = {
            "actor": making.made_by,
            "target_type": "bundle",
            "target": where.task_id,
            "purpose": purpose,
        }
        taken |= {"filter": told(where), "rows": made.entries + made.related}
        is_recorded = folder is not None and record_access(folder.path, url or "", taken)
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
    if not is_recorded:
        click.echo("That it was taken is not in the ledger: no receiver is running on it here", err=True)
    if not made.signed:
        click.echo("The manifest is not signed: the ledger's key is not here (give --data)", err=True)


def told(where: Filter) -> str:
    """A filter as the record of an access says it."""
    asked = ((each.name, getattr(where, each.name)) for each in fields(Filter))
    return "; ".join(f"{name}={value}" for name, value in asked if value not in ("", None, ()))


def signer_of(folder: DataFolder | None) -> Signer | None:
    """The ledger's key, which signs the manifest; None where it is not."""
    return folder.signer() if folder is not None and folder.exists() else None


def maker() -> str:
    """Who makes the bundle: the user of this machine's account."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no account of that number, as in some containers
        return "unknown"
