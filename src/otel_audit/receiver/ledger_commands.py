"""Commands that have a ledger's writer do something: ``otel-audit checkpoint`` and ``anchor``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from otel_audit.receiver.control_client import request_operation
from otel_audit.receiver.service import ReceiverSettings

_Command = TypeVar("_Command", bound=Callable[..., Any])

_LEDGER: Final = (
    click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("audit-data"),
        show_default=True,
        envvar="OTEL_AUDIT_DATA",
        help="Data folder.",
    ),
    click.option(
        "--url",
        default="",
        envvar="OTEL_AUDIT_URL",
        help="ClickHouse server that the ledger is stored in, http(s)://user:password@host:port/database.",
    ),
    click.option(
        "--anchor-dir",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="OTEL_AUDIT_ANCHOR_DIR",
        help="Folder that checkpoints are copied to.  [default: DATA-anchors]",
    ),
    click.option(
        "--anchors",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="OTEL_AUDIT_ANCHORS",
        help="TOML file of [[anchors]] out of reach: S3 Object Lock, timestamp authorities, OpenTimestamps.",
    ),
)


def ledger_options(command: _Command) -> _Command:
    """Add the options that say which ledger, as ``ReceiverSettings`` has them."""
    for option in reversed(_LEDGER):
        command = option(command)
    return command


def operate(name: str, arguments: Mapping[str, Any], ledger: Mapping[str, Any]) -> Any:
    """Do an operation on the ledger that the ``ledger_options`` say, by its running receiver where there is one."""
    return request_operation(ReceiverSettings(**ledger), name, arguments)


@click.command(epilog="\b\nExample: otel-audit checkpoint --data audit-data")
@ledger_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def checkpoint(*, as_json: bool, **ledger: Any) -> None:
    """Seal everything up to now with a signed checkpoint, and print it: keep a copy where nobody can change it."""
    sealed = operate("checkpoint", {}, ledger)
    click.echo(json.dumps(sealed, indent=2) if as_json else sealed["note"], nl=as_json)


@click.command(epilog="\b\nExample: otel-audit anchor --now --data audit-data")
@ledger_options
@click.option("--now", is_flag=True, required=True, help="Do not wait for the anchors' own rhythm.")
@click.option("--kind", default="", help="Only anchors of this kind: s3, rfc3161, opentimestamps, or file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def anchor(*, now: bool, kind: str, as_json: bool, **ledger: Any) -> None:
    """Seal everything up to now, and publish it to the anchors out of reach. Exit code 1: one of them failed."""
    del now  # asked for, so that nobody publishes by mistake: what S3 has locked stays
    done = operate("anchor", {"kind": kind}, ledger)
    if as_json:
        click.echo(json.dumps(done, indent=2))
    else:
        click.echo(f"Ledger {done['origin']}, {done['size']:,} entries; digest {done['digest']} over all ledgers")
        for each in done["anchors"]:
            said = each["last_error"] or f"has {each['published_size']:,} entries"
            said += f"; {each['pending']} proofs pending: their blocks are still to come" if each["pending"] else ""
            click.echo(f"  {each['name']:<24} {'FAILED' if each['last_error'] else 'ok':<7} {said}")
    if any(each["last_error"] for each in done["anchors"]):
        raise click.exceptions.Exit(1)
