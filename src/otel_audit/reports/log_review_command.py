"""The command ``otel-audit review-logs``: the weeks to review, what stands out in them, and signing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

import click

from otel_audit.errors import ConfigError, StoreUnavailable
from otel_audit.instrumentation import Recorder
from otel_audit.model import EventType, Filter
from otel_audit.reports import _tables
from otel_audit.reports.log_review import (
    Found,
    Standing,
    Week,
    findings,
    queue,
    refuse_unless_signable,
    statement,
)
from otel_audit.reports.options import open_reader, store_options
from otel_audit.semconv import (
    AUDIT_ACTION,
    AUDIT_ACTOR_ID,
    AUDIT_ACTOR_TYPE,
    AUDIT_FILTER,
    AUDIT_PURPOSE,
    AUDIT_ROW_COUNT,
    AUDIT_TARGET_ID,
    AUDIT_TARGET_TYPE,
)
from otel_audit.store.folder import DataFolder

_EXIT_OVERDUE: Final = 1
_FLUSH_SECONDS: Final = 20.0


@click.command(
    name="review-logs",
    epilog="\b\nExamples:\n  otel-audit review-logs --data audit-data\n"
    "  otel-audit review-logs --data audit-data --week 2026-W47 --sign --reviewer u_7 --remark 'all was asked for'",
)
@click.option(
    "--week", "week_name", metavar="WEEK", help="This week only, such as 2026-W47, with what stands out in it."
)
@click.option("--due-days", type=click.IntRange(0), default=7, show_default=True, help="Days after a week to sign it.")
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
            ledgers = reader.ledgers()
            sizes = tuple((each.origin, each.size) for each in ledgers)
            refuse_unless_signable(reader, week, reviewer, time.time_ns())
            found = findings(reader, week, sizes)
            events = reader.count(week.filter(Filter(sizes=sizes))).events
            seen = statement(ledgers, found)
            _send(_endpoint(data), week, reviewer, remark=remark, events=events, seen=seen)
            click.echo(f"{reviewer} signed {week.name}: {events:,} entries", err=True)
        standings = [each for each in queue(reader, time.time_ns(), due_days) if week in {None, each.week}]
        shown = findings(reader, week) if week else []
    if as_json:
        click.echo(json.dumps(_json(standings, shown), indent=2))
    else:
        click.echo("\n".join(map(_tables.printable, _lines(standings, shown))))
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


def _send(endpoint: str, week: Week, reviewer: str, *, remark: str, events: int, seen: dict[str, Any]) -> None:
    """Record the sign-off. Raises StoreUnavailable when the receiver did not acknowledge it in time."""
    recorder = Recorder()
    recorder.configure("otel-audit-review-logs", endpoint=endpoint)
    said: dict[str, str | int] = {
        AUDIT_ACTION: "SIGN",
        AUDIT_ACTOR_ID: reviewer,
        AUDIT_ACTOR_TYPE: "user",
        AUDIT_TARGET_ID: week.name,
        AUDIT_TARGET_TYPE: "week",
        AUDIT_ROW_COUNT: events,
        AUDIT_FILTER: json.dumps(seen),
    }
    recorder.emit(EventType.LOG_REVIEW, said | ({AUDIT_PURPOSE: remark} if remark else {}), None)
    if not recorder.flush(_FLUSH_SECONDS):
        raise StoreUnavailable(
            "the receiver has not acknowledged the sign-off. It waits in the spool, and is sent with what is recorded "
            f"next: see `otel-audit review-logs --week {week.name}` before you sign again"
        )


def _lines(standings: list[Standing], shown: list[Found]) -> list[str]:
    lines = [] if standings else ["There is nothing to review: no entry was recorded then."]
    for each in standings:
        lines.append(f"{each.week.name}  from {each.week.monday}  {each.state}")
        for by in each.sign_offs:
            when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(by.at_unix_nano // 1_000_000_000))
            own = "" if by.independent else "  (does not count: has accesses of their own in this week)"
            lines.append(f"    {by.reviewer or 'nobody named'}, {when}{own}" + (f": {by.remark}" if by.remark else ""))
    return [*lines, *(f"  {each.events:>9,}  {each.title}" for each in shown)]


def _json(standings: list[Standing], shown: list[Found]) -> dict[str, Any]:
    return {
        "weeks": [
            {
                "week": each.week.name,
                "state": each.state,
                "sign_offs": [
                    {
                        "reviewer": by.reviewer,
                        "at_unix_nano": by.at_unix_nano,
                        "remark": by.remark,
                        "entries": by.events,
                        "independent": by.independent,
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
