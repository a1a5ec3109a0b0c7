"""``otel-audit retention`` and ``otel-audit hold``."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

import click

from otel_audit.errors import ConfigError
from otel_audit.ledger.note import VerifierKey
from otel_audit.receiver.ledger_commands import ledger_options, operate
from otel_audit.receiver.retention import DAY_SECONDS, DEFAULT_KEEP_DAYS, remove_stated
from otel_audit.store.database import Role, is_locked, open_embedded, open_server
from otel_audit.store.folder import DataFolder

_PERIOD: Final = re.compile(r"([1-9][0-9]{0,5})(d|m|y)")
_DAYS: Final = {"d": 1, "m": 31, "y": 366}  # never shorter than the months or years that are meant
_DEFAULTS: Final = ", ".join(f"{name} {days}d" for name, days in DEFAULT_KEEP_DAYS.items())


@click.command(epilog="\b\nExample: otel-audit retention --data audit-data --class standard=2y --dry-run")
@ledger_options
@click.option("--dry-run", is_flag=True, help="Only say what would be done. This is the default.")
@click.option("--apply", "is_applied", is_flag=True, help="State in the ledger what expired, and remove it.")
@click.option(
    "--class",
    "periods",
    multiple=True,
    metavar="NAME=PERIOD",
    help=f"How long a class is kept: 90d, 6m (31 days each) or 2y (366 days each).  [default: {_DEFAULTS}]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def retention(*, dry_run: bool, is_applied: bool, periods: tuple[str, ...], as_json: bool, **ledger: Any) -> None:
    """Remove whole months of entries whose retention is over, and prove in the ledger that this is why they are gone.

    A month goes only when it is sealed, anchored and under no legal hold. Tiles stay, so that everything that remains
    still verifies. With the embedded engine the receiver has to be stopped for --apply.

    Exit code 0: done. 1: something that is due can not be proven, and stays. 2: it could not be done.
    """
    if dry_run and is_applied:
        raise ConfigError("give either --dry-run or --apply")
    folder = DataFolder(ledger["data"])
    if is_applied and not ledger["url"] and is_locked(folder):
        raise ConfigError(
            f"{folder.path}: removing entries takes rights that a running receiver does not have: "
            "stop it (otel-audit up or serve), run this again, and start it anew. --dry-run works meanwhile"
        )
    keep = dict(_period(text) for text in periods)
    told = operate("retention", {"keep": keep, "apply": is_applied}, ledger)
    removed = _remove(folder, told["origin"], ledger["url"]) if is_applied else []
    if as_json:
        done = [{"retention_class": name, "month": month, "entries": count} for name, month, count in removed]
        click.echo(json.dumps({**told, "removed": done}, indent=2))
    else:
        for each in told["partitions"]:
            what = f"{each['month']} {each['retention_class']:<10} {each['entry_count']:>12,} entries"
            click.echo(f"{what}  {each['state'].replace('_', ' ')} {each['why']}".rstrip())
        for name, month, count in removed:
            click.echo(f"removed {month} {name}: {count:,} entries; their hashes stay")
    if any(each["state"] == "not_proven" for each in told["partitions"]):
        raise click.exceptions.Exit(1)


@click.group(epilog="\b\nExample: otel-audit hold add --data audit-data --task loan-4711 --reason 'claim 88/26'")
def hold() -> None:
    """Legal holds: what must be kept, whatever retention says and whoever asks for erasure."""


@hold.command("add", epilog="\b\nExample: otel-audit hold add --data audit-data --reviewer u_102 --reason 'claim 88'")
@ledger_options
@click.option("--task", default="", help="Entries of this task.")
@click.option("--reviewer", default="", help="Entries of this reviewer.")
@click.option("--from", "start", default="", help="Entries recorded from this time on, such as 2026-01-31.")
@click.option("--to", "end", default="", help="Entries recorded before this time.")
@click.option("--reason", required=True, help="Why; kept as erasable text, masked as the capture policy says.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def hold_add(*, task: str, reviewer: str, start: str, end: str, reason: str, as_json: bool, **ledger: Any) -> None:
    """Begin a hold. What is given must all be so of an entry."""
    wanted = {"task": task, "reviewer": reviewer, "start": _nanos(start), "end": _nanos(end), "reason": reason}
    made = operate("hold_add", wanted, ledger)
    click.echo(json.dumps(made, indent=2) if as_json else f"hold {made['hold_id']} is in force")


@hold.command("list", epilog="\b\nExample: otel-audit hold list --data audit-data")
@ledger_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def hold_list(*, as_json: bool, **ledger: Any) -> None:
    """Print the holds in force, and how many entries each keeps."""
    holds = operate("hold_list", {}, ledger)
    if as_json:
        click.echo(json.dumps(holds, indent=2))
        return
    for each in holds:
        of = [f"task {each['task_id']}"] if each["task_id"] else []
        of += [f"reviewer {each['reviewer_id']}"] if each["reviewer_id"] else []
        of += [f"from {_shown(each['start'])}"] if each["start"] else []
        of += [f"to {_shown(each['end'])}"] if each["end"] else []
        click.echo(f"{each['hold_id']}  {', '.join(of)}: {each['entries']:,} entries, since {_shown(each['since'])}")


@hold.command("remove", epilog="\b\nExample: otel-audit hold remove 9f1c03aa77d0 --data audit-data --reason settled")
@click.argument("hold_id")
@ledger_options
@click.option("--reason", required=True, help="Why; kept as erasable text.")
def hold_remove(*, hold_id: str, reason: str, **ledger: Any) -> None:
    """End a hold."""
    operate("hold_remove", {"hold_id": hold_id, "reason": reason}, ledger)
    click.echo(f"hold {hold_id} is ended")


def _remove(folder: DataFolder, origin: str, url: str) -> list[tuple[str, int, int]]:
    keys = [VerifierKey.parse(text) for text in folder.verifier_keys()]
    with open_server(url, Role.ADMIN) if url else open_embedded(folder, Role.ADMIN) as database:
        return remove_stated(database, origin, keys)


def _period(text: str) -> tuple[str, int]:
    name, _, period = text.partition("=")
    match = _PERIOD.fullmatch(period)
    if match is None:
        raise ConfigError(f"--class {text}: expected NAME=PERIOD, such as standard=2y, soc2=18m or hipaa=2200d")
    return name, int(match[1]) * _DAYS[match[2]] * DAY_SECONDS


def _nanos(text: str) -> int:
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ConfigError(f"{text!r} is no time; write it as 2026-01-31 or 2026-01-31T09:30:00Z") from exc
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * 1_000_000_000


def _shown(nanos: int) -> str:
    return datetime.fromtimestamp(nanos // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")
