"""``otel-audit report``."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from otel_audit.errors import ConfigError, VerificationError
from otel_audit.ledger.trust import parse_trust
from otel_audit.model import Filter
from otel_audit.reports._tables import printable
from otel_audit.reports._times import parse_instant
from otel_audit.reports.bundle.writer import Making
from otel_audit.reports.compliance.page import ICONS, sentence
from otel_audit.reports.compliance.report import Compliance, as_json, build
from otel_audit.reports.compliance.sealed import verify_report, write_report
from otel_audit.reports.compliance.sources import read_beside
from otel_audit.reports.compliance.standard import STANDARDS, standard
from otel_audit.reports.evidence_sources import read_evidence
from otel_audit.reports.options import open_store
from otel_audit.reports.read_commands import whole_file
from otel_audit.reports.verification import verify_database
from otel_audit.store.folder import DataFolder
from otel_audit.taken import maker, record_taken

_EXIT_ALTERED: Final = 1


@click.group(
    epilog="\b\nExample:\n  otel-audit report make --data audit-data --standard soc2 --since 2026-07-01 "
    '--until 2026-09-30 --out soc2-q3.zip --purpose "audit 2026"'
)
def report() -> None:
    """Reports for SOC 2, HIPAA, GDPR and the EU AI Act: make one, and check one."""


@report.command(
    epilog="\b\nExample:\n  otel-audit report make --data audit-data --standard eu-ai-act --since 30d "
    '--out ai-act.zip --purpose "quarterly review"'
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), envvar="OTEL_AUDIT_DATA", required=True,
              help="Data folder: its key signs the report.")  # fmt: skip
@click.option("--url", envvar="OTEL_AUDIT_URL", help="ClickHouse server, when the entries are there.")
@click.option("--standard", "code", type=click.Choice(list(STANDARDS)), required=True, help="Whose controls.")
@click.option("--since", metavar="TIME", help="From then on: 2026-11-20, 2026-11-20T14:30:00Z or 7d (UTC).")
@click.option("--until", metavar="TIME", help="Before then; of a date, that whole day is included.  [default: now]")
@click.option("--service", metavar="NAME", multiple=True, help="Only this service; may be repeated.")
@click.option("--environment", metavar="NAME", multiple=True, help="Such as production; may be repeated.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The zip file to write.")
@click.option("--purpose", metavar="WORDS", required=True, help="Why: stated in the report, recorded in the ledger.")
@click.option("--verify", "is_verified", is_flag=True, help="Recompute everything first, and state what was found.")
@click.option("--anchor-dir", type=click.Path(file_okay=False, path_type=Path), envvar="OTEL_AUDIT_ANCHOR_DIR",
              help="Folder with anchored checkpoints.  [default: DATA-anchors]")  # fmt: skip
@click.option("--anchors-from", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              envvar="OTEL_AUDIT_ANCHORS_FROM", help="TOML file of [[anchors]] to read, too.")  # fmt: skip
@click.option("--json", "as_json_text", is_flag=True, help="Print the report as JSON as well.")
def make(
    *,
    data: Path,
    url: str | None,
    code: str,
    since: str | None,
    until: str | None,
    service: tuple[str, ...],
    environment: tuple[str, ...],
    out: Path,
    purpose: str,
    is_verified: bool,
    anchor_dir: Path | None,
    anchors_from: Path | None,
    as_json_text: bool,
) -> None:
    """Write a signed report: each control of a standard, with what the trail holds for it in a period.

    Where a receiver is running on DATA, the ledger records who took it, and why, before the file has its name.
    """
    if not purpose.strip():
        raise ConfigError("--purpose: say why the report is made")
    folder, now = DataFolder(data), time.time_ns()
    where = Filter(
        service=service,
        environment=environment,
        since=None if since is None else parse_instant(since, now_unix_nano=now),
        until=now if until is None else parse_instant(until, now_unix_nano=now, whole_day=True),
    )
    if where.since is not None and where.until is not None and where.since >= where.until:
        raise ConfigError(f"--since {since} is not before --until {until or 'now'}: nothing can match")
    signer = folder.signer()
    origins = [folder.identity().origin]
    beside, troubles = read_beside(folder, anchor_dir, anchors_from)
    for trouble in troubles:
        click.echo(f"Anchors: {trouble}", err=True)
    with open_store(data if url is None else None, url) as database, whole_file(out) as file:
        if is_verified:
            trust, evidence = read_evidence(
                (anchor_dir,) if anchor_dir else (), anchors_from, folder, None, is_left_out=False
            )
            found = verify_database(database, trust=trust, anchors=evidence, expected=origins)
            beside = replace(beside, verification=found)
        made = build(database, standard(code), where, now, beside)
        making = Making(now, maker(), purpose, version("otel-audit"))
        file.write(write_report(made, making, signer))
        record_taken(data, "report", where, rows=made.events, purpose=purpose, target=f"{code}.zip")
    _say(made, as_json_text=as_json_text)
    click.echo(f"Written to {out}, signed by {signer.name}", err=True)


def _say(made: Compliance, *, as_json_text: bool) -> None:
    if as_json_text:
        click.echo(json.dumps(as_json(made), indent=2))
        return
    click.echo(printable(sentence(made)))
    for each in made.answers:
        click.echo(printable(f"{ICONS[each.state]} {each.control.reference} {each.control.title}: {each.state}"))
        for note in each.notes:
            if note.is_warning:
                click.echo(printable(f"    ! {note.text}"))


@report.command(epilog="\b\nExample:\n  otel-audit report verify ai-act.zip --trust trust.json")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--trust", "trust_file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="File with the verifier keys to trust, as `otel-audit keys export` prints it.")  # fmt: skip
def verify(*, file: Path, trust_file: Path) -> None:
    """Check that a report is the one that was signed. Exit code 1: it is not. 2: it could not be checked."""
    try:
        text = trust_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{trust_file}: can not be read as a trust file: {exc}") from exc
    try:
        document = verify_report(file, parse_trust(text, str(trust_file)))
    except VerificationError as exc:
        click.echo(printable(f"ALTERED or not to be trusted: {exc}"))
        raise click.exceptions.Exit(_EXIT_ALTERED) from exc
    name, made = document["standard"]["name"], document["made_at"]
    click.echo(printable(f"OK: the report on {name} is as it was signed; by its own words made {made}"))
    click.echo("Not checked: whether its figures are those of the ledger. Count again, or ask for an evidence bundle.")
