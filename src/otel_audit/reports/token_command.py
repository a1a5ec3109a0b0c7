"""``otel-audit token``: who may sign in to the dashboard."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from otel_audit.errors import ConfigError
from otel_audit.model import Filter
from otel_audit.reports._times import clock, parse_instant
from otel_audit.reports.access_tokens import AccessToken, Role, TokenFile, scope_values
from otel_audit.reports.options import filter_from, filter_options
from otel_audit.store.folder import DataFolder

_IN: Final = re.compile(r"(\d{1,5})([hdw])")
_HOURS: Final = {"h": 1, "d": 24, "w": 168}
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _place_options(command: _Command) -> _Command:
    for option in (
        click.option(
            "--tokens",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="OTEL_AUDIT_TOKENS",
            help="File of the access tokens.  [default: DATA/otel-audit/access/tokens.json]",
        ),
        click.option(
            "--data",
            type=click.Path(file_okay=False, path_type=Path),
            default=Path("audit-data"),
            show_default=True,
            envvar="OTEL_AUDIT_DATA",
            help="Data folder.",
        ),
    ):
        command = option(command)
    return command


@click.group(epilog='\b\nExample: otel-audit token create --name "Ada Park" --role compliance')
def token() -> None:
    """Make, list and revoke the access tokens that people sign in to the dashboard with."""


@token.command(
    epilog="\b\nExamples:\n  otel-audit token create --name ada --role compliance\n"
    "  otel-audit token create --name 'Ernst, external' --role auditor --expires 14d --service loan-gateway "
    "--since 2026-07-01 --until 2026-09-30"
)
@_place_options
@click.option("--name", required=True, help="Who it is for: this name is in the record of every access.")
@click.option("--role", type=click.Choice([each.value for each in Role]), required=True, help="What they may see.")
@click.option("--expires", metavar="TIME", default="30d", show_default=True, help="12h, 30d, 8w, or a date (UTC).")
@filter_options
def create(*, data: Path, tokens: Path | None, name: str, role: str, expires: str, **filters: Any) -> None:
    """Make a token and print its secret, once. The filters are its scope: nothing else is seen with it."""
    now = time.time_ns()
    file = _file(data, tokens)
    secret, made = file.create(name, Role(role), _expiry(expires, now), filter_from(filters), now)
    click.echo(f"{_words(made, now)}\nThe secret, which is shown this once and kept nowhere:", err=True)
    click.echo(secret)


@token.command("list", epilog="\b\nExample: otel-audit token list --data audit-data")
@_place_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def list_tokens(*, data: Path, tokens: Path | None, as_json: bool) -> None:
    """List the tokens that were made: for whom, as what, until when. Secrets are not kept."""
    now = time.time_ns()
    found = _file(data, tokens).all()
    if as_json:
        listed = [
            {
                "id": each.id,
                "name": each.name,
                "role": each.role,
                "state": _state(each, now),
                "created": clock(each.created_unix_nano),
                "expires": clock(each.expires_unix_nano),
                "scope": scope_values(each.scope),
            }
            for each in found
        ]
        click.echo(json.dumps(listed, indent=2))
        return
    for each in found:
        click.echo(_words(each, now))
    if not found:
        click.echo("There are no tokens. `otel-audit token create` makes one.", err=True)


@token.command(epilog="\b\nExample: otel-audit token revoke 3fa1c02b --data audit-data")
@click.argument("token_id", metavar="ID")
@_place_options
def revoke(*, token_id: str, data: Path, tokens: Path | None) -> None:
    """End a token: whoever is signed in with it is signed out within seconds."""
    now = time.time_ns()
    click.echo(_words(_file(data, tokens).revoke(token_id, now), now))


def _file(data: Path, tokens: Path | None) -> TokenFile:
    if tokens is None and not DataFolder(data).exists():
        raise ConfigError(f"--data {data}: there is no ledger here. Start `otel-audit up` first, or give --tokens FILE")
    return TokenFile(tokens or DataFolder(data).tokens_file)


def _expiry(text: str, now_unix_nano: int) -> int:
    if within := _IN.fullmatch(text.strip()):
        return now_unix_nano + int(within[1]) * _HOURS[within[2]] * 3600 * 10**9
    return parse_instant(text, now_unix_nano=now_unix_nano, whole_day=True)


def _state(made: AccessToken, now_unix_nano: int) -> str:
    if made.revoked_unix_nano:
        return "revoked"
    return "valid" if made.is_valid(now_unix_nano) else "expired"


def _words(made: AccessToken, now_unix_nano: int) -> str:
    scope = "" if made.scope == Filter() else f", scope {json.dumps(scope_values(made.scope), ensure_ascii=False)}"
    state, until = _state(made, now_unix_nano), clock(made.expires_unix_nano)
    return f"{made.id}  {made.name}  {made.role}  {state}, expires {until}{scope}"
