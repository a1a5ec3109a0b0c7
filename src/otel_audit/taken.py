"""Who takes entries out of a ledger with a command, and why: told to the receiver, which records it."""

from __future__ import annotations

import getpass
from dataclasses import fields
from pathlib import Path

import click

from otel_audit.model import Filter
from otel_audit.receiver.control_client import record_access


def record_taken(data: Path | None, what: str, where: Filter, *, rows: int, purpose: str, target: str = "") -> None:
    """Have the ledger record that ``rows`` entries leave as ``what``, or say that no receiver is there to do it.

    Call it before they do. Raises StoreError when the receiver that is running did not record it.
    """
    taken: dict[str, str | int] = {"actor": maker(), "target_type": what, "target": target or where.task_id}
    taken |= {"purpose": purpose, "filter": _told(where), "rows": rows}
    if data is None or not record_access(data, taken):
        click.echo(f"That this {what} was taken is not in the ledger: no receiver is running on it here", err=True)


def maker() -> str:
    """Who runs the command: the user of this machine's account."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no account of that number, as in some containers
        return "unknown"


def _told(where: Filter) -> str:
    asked = ((each.name, getattr(where, each.name)) for each in fields(Filter) if each.name != "sizes")
    return "; ".join(f"{name}={value}" for name, value in asked if value not in ("", None, ()))
