"""Commands that have a ledger's writer do something: ``otel-audit checkpoint``."""

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
