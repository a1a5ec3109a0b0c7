"""The command ``otel-audit doctor``: the application's environment, and what a trail has received."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path

import click

from otel_audit.doctor import report
from otel_audit.doctor.clients import CLIENTS
from otel_audit.doctor.examination import Wanted, about
from otel_audit.doctor.examination import examine as examine_environment
from otel_audit.doctor.findings import Finding, has_problem
from otel_audit.reports import trail_health
from otel_audit.reports._times import parse_instant
from otel_audit.reports.options import open_reader, store_options


@click.command(
    epilog="\b\nExamples:\n  otel-audit doctor                                       in an application's environment\n"
    "  otel-audit doctor --data audit-data --since 1d          what its trail has received, too\n"
    "  python -m otel_audit.doctor                             the same where only the base package is installed"
)
@click.option(
    "--client",
    "clients",
    multiple=True,
    type=click.Choice([each.name for each in CLIENTS]),
    help="Look at this AI client only; may be repeated.",
)
@click.option("--endpoint", metavar="URL", help="The receiver, where the application gives it to configure().")
@click.option("--no-call", is_flag=True, help="Make no test calls.")
@click.option("--no-send", is_flag=True, help="Send no test record to the receiver.")
@click.option("--trail-only", is_flag=True, help="Look at the trail alone, not at this environment.")
@click.option("--since", metavar="TIME", default="7d", show_default=True, help="Of the trail, what was recorded since.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@store_options
def doctor(
    *,
    clients: tuple[str, ...],
    endpoint: str | None,
    no_call: bool,
    no_send: bool,
    trail_only: bool,
    since: str,
    as_json: bool,
    data: Path | None,
    url: str | None,
) -> None:
    """Find out what of an application does not reach the trail, and how to mend it.

    Makes test calls on this machine, without any real provider, and sends one test record to the receiver.
    Exits with 1 when there is a problem.
    """
    has_trail = data is not None or url is not None
    if trail_only and not has_trail:
        raise click.UsageError("--trail-only needs the trail: --data DIR or --url URL")
    findings: list[Finding] = []
    if not trail_only:
        findings += examine_environment(Wanted(endpoint, clients, call=not no_call, send=not no_send))
    if has_trail:
        begin = parse_instant(since, now_unix_nano=time.time_ns())
        with open_reader(data, url) as reader:
            findings += trail_health.examine(reader, begin, store=_store(data, url))
    if as_json:
        click.echo(json.dumps(report.as_json(findings), indent=2))
    else:
        report.write(findings, sys.stdout, about())
    if has_problem(findings):
        click.get_current_context().exit(1)


def _store(data: Path | None, url: str | None) -> str:
    """The store as an option in a command to copy. A URL may hold a password."""
    return f"--data {shlex.quote(str(data))}" if data is not None and url is None else "--url $OTEL_AUDIT_URL"
