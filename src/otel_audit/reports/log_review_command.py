"""The command ``otel-audit review-logs``: the weeks to review, what stands out in them, and signing."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from otel_audit.errors import ConfigError, StoreUnavailable
from otel_audit.instrumentation import Recorder
from otel_audit.reports import _tables, signing
from otel_audit.reports.log_review import DUE_DAYS, Found, Standing, Week, findings, late_entries, queue
from otel_audit.reports.options import open_reader, store_options
from otel_audit.store.folder import DataFolder
from otel_audit.store.reader import Reader

SERVICE_NAME: Final = "otel-audit-review-logs"
_EXIT_OVERDUE: Final = 1
_Late = Mapping[Week, int | None]  # entries that arrived after the signature; None when that is not known


@click.command(
    name="review-logs",
    epilog="\b\nExamples:\n  otel-audit review-logs --data audit-data\n"
    "  otel-audit review-logs --data audit-data --week 2026-W47 --sign --reviewer u_7 --remark 'all was asked for'",
)
@click.option(
    "--week", "week_name", metavar="WEEK", help="This week only, such as 2026-W47, with what stands out in it."
)
@click.option(
    "--due-days", type=click.IntRange(0), default=DUE_DAYS, show_default=True, help="Days after a week to sign it."
)
@click.option("--sign", is_flag=True, help="Sign the week, through the receiver that runs.")
@click.option("--reviewer", metavar="NAME", default="", help="Who signs.")
@click.option("--remark", metavar="TEXT", default="", help="What the reviewer says about the week.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@store_options
@click.pass_context
def review_logs(
    context: click.Context,
    *,
    data: Path | None,
    url: str | None,
    week_name: str | None,
    due_days: int,
    sign: bool,
    reviewer: str,
    remark: str,
    as_json: bool,
) -> None:
    """List the weeks of the trail to review, and sign them. Exit code 1: one is overdue."""
    week = Week.parse(week_name) if week_name else None
    if sign and week is None:
        raise ConfigError("--sign: say which week, such as --week 2026-W47")
    if (reviewer or remark) and not sign:
        raise ConfigError("--reviewer and --remark are for --sign")
    with open_reader(data, url) as reader:
        if sign and week is not None:
            recorder = Recorder()
            recorder.configure(SERVICE_NAME, endpoint=_endpoint(data))
            events = signing.sign(reader, recorder, signing.Signing(week, reviewer, remark), time.time_ns())
            click.echo(f"{reviewer} signed {week.name}, with {events:,} of its events", err=True)
        standings = [each for each in queue(reader, time.time_ns(), due_days) if week in {None, each.week}]
        late = {each.week: _late(reader, each) for each in standings}
        shown = findings(reader, week) if week else []
    if as_json:
        click.echo(json.dumps(_json(standings, late, shown), indent=2))
    else:
        click.echo("\n".join(map(_tables.printable, _lines(standings, late, shown))))
    if any(each.state == "overdue" for each in standings):
        context.exit(_EXIT_OVERDUE)


def _endpoint(data: Path | None) -> str:
    run = DataFolder(data).read_run() if data is not None else None
    if run is None or not run.grpc_port:
        raise StoreUnavailable(
            "a sign-off is recorded through the receiver, and none runs on this folder. Start `otel-audit up` with the "
            "same --data, then sign again; nothing was recorded"
        )
    return f"http://127.0.0.1:{run.grpc_port}"


def _late(reader: Reader, standing: Standing) -> int | None:
    where = late_entries(standing)
    return reader.count(where).events if where else None


def _lines(standings: list[Standing], late: _Late, shown: list[Found]) -> list[str]:
    lines = [] if standings else ["There is nothing to review: no entry was recorded then."]
    for each in standings:
        lines.append(f"{each.week.name}  from {each.week.monday}  {each.state}")
        for by in each.sign_offs:
            when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(by.at_unix_nano // 1_000_000_000))
            without = by.without_effect(each.week)
            note = f"  (does not count: {without})" if without else ""
            lines.append(f"    {by.reviewer or 'nobody named'}, {when}{note}" + (f": {by.remark}" if by.remark else ""))
        if number := late[each.week]:
            lines.append(f"    {number:,} of its events arrived after this was signed")
    return [*lines, *(f"  {each.events:>9,}  {each.title}" for each in shown)]


def _json(standings: list[Standing], late: _Late, shown: list[Found]) -> dict[str, Any]:
    return {
        "weeks": [
            {
                "week": each.week.name,
                "state": each.state,
                "arrived_after_signing": late[each.week],
                "sign_offs": [
                    {
                        "reviewer": by.reviewer,
                        "at_unix_nano": by.at_unix_nano,
                        "remark": by.remark,
                        "entries": by.events,
                        "seconds": by.seconds,
                        "independent": by.independent,
                        "counts": not by.without_effect(each.week),
                        "origin": by.origin,
                        "seq": by.seq,
                    }
                    for by in each.sign_offs
                ],
            }
            for each in standings
        ],
        "findings": [{"code": each.code, "title": each.title, "events": each.events} for each in shown],
    }
