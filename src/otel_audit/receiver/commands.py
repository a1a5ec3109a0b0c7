"""``otel-audit up``, ``serve`` and ``dashboard``."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

import click

from otel_audit.errors import ConfigError
from otel_audit.privacy.policy import POLICY_VARIABLE
from otel_audit.receiver import children
from otel_audit.receiver.logs import MaskingFormatter

_LOOPBACK: Final = "127.0.0.1"
_SOON: Final = 0.1  # seconds between two looks whether the dashboard is there yet
_Command = TypeVar("_Command", bound=Callable[..., Any])


def receiver_options(command: _Command) -> _Command:
    """The options that ``up`` and ``serve`` share."""
    for option in reversed(
        (
            click.option(
                "--data",
                type=click.Path(file_okay=False, path_type=Path),
                default=Path("audit-data"),
                show_default=True,
                envvar="OTEL_AUDIT_DATA",
                help="Data folder: the ledger, its key, and (embedded) the store.",
            ),
            click.option(
                "--url",
                default="",
                envvar="OTEL_AUDIT_URL",
                help="ClickHouse server to store in, http(s)://user:password@host:port/database, instead of DATA.",
            ),
            click.option(
                "--host",
                default=_LOOPBACK,
                show_default=True,
                envvar="OTEL_AUDIT_HOST",
                help="Address OTLP is received on. Whoever can reach it can write: keep it private.",
            ),
            click.option(
                "--grpc-port",
                type=click.IntRange(0, 65535),
                default=4317,
                show_default=True,
                envvar="OTEL_AUDIT_GRPC_PORT",
                help="OTLP/gRPC.",
            ),
            click.option(
                "--http-port",
                type=click.IntRange(0, 65535),
                default=4318,
                show_default=True,
                envvar="OTEL_AUDIT_HTTP_PORT",
                help="OTLP/HTTP (protobuf and JSON) and /healthz.",
            ),
            click.option(
                "--cors-origin",
                "cors_origins",
                multiple=True,
                envvar="OTEL_AUDIT_CORS_ORIGIN",
                help="Origin whose web pages may send OTLP/HTTP, such as https://app.example.com. Repeatable.",
            ),
            click.option(
                "--origin", envvar="OTEL_AUDIT_ORIGIN", help="Name of a new ledger, such as example.com/audit."
            ),
            click.option(
                "--anchor-dir",
                type=click.Path(file_okay=False, path_type=Path),
                envvar="OTEL_AUDIT_ANCHOR_DIR",
                help="Folder that checkpoints are copied to.  [default: DATA-anchors]",
            ),
            click.option(
                "--witness",
                "witnesses",
                multiple=True,
                envvar="OTEL_AUDIT_WITNESS",
                help="Witness that cosigns each checkpoint, as URL=KEY (otel-audit witness --show-key). Repeatable.",
            ),
            click.option(
                "--anchors",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                envvar="OTEL_AUDIT_ANCHORS",
                help="TOML file of [[anchors]] out of reach: S3 Object Lock, timestamp authorities, OpenTimestamps.",
            ),
            click.option(
                "--checkpoint-seconds",
                type=click.FloatRange(0.1, 10.0),
                default=5.0,
                show_default=True,
                envvar="OTEL_AUDIT_CHECKPOINT_SECONDS",
                help="Longest time an entry waits for its signed checkpoint.",
            ),
            click.option(
                "--recheck-seconds",
                type=click.FloatRange(min=0),
                default=900.0,
                show_default=True,
                envvar="OTEL_AUDIT_RECHECK_SECONDS",
                help="How often the ledger's new entries are verified; once a day all of them. 0: never.",
            ),
            click.option(
                "--max-pending-mib",
                type=click.IntRange(1),
                default=256,
                show_default=True,
                envvar="OTEL_AUDIT_MAX_PENDING_MIB",
                help="Memory for what waits for the store; beyond it producers are told to retry.",
            ),
            click.option(
                "--audit-producer-keys",
                type=click.Path(dir_okay=False, exists=True, path_type=Path),
                envvar="OTEL_AUDIT_PRODUCER_KEYS",
                help="File of keys that producers sign records of /v1/audit with.",
            ),
            click.option(
                "--audit-signatures-required",
                is_flag=True,
                envvar="OTEL_AUDIT_SIGNATURES_REQUIRED",
                help="Refuse records of /v1/audit that no trusted key signed.",
            ),
            click.option(
                "--capture-policy",
                default="redacted",
                show_default=True,
                envvar="OTEL_AUDIT_CAPTURE_POLICY",
                help="What is kept of texts: reference, hash, redacted, full, or the path of a policy file.",
            ),
        )
    ):
        command = option(command)
    return command


_dashboard_port = click.option(
    "--dashboard-port",
    type=click.IntRange(0, 65535),
    default=8501,
    show_default=True,
    envvar="OTEL_AUDIT_DASHBOARD_PORT",
    help="Dashboard, on 127.0.0.1.",
)


def _sign_in(command: _Command) -> _Command:
    for option in (
        click.option(
            "--tokens",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="OTEL_AUDIT_TOKENS",
            help="File of the access tokens.  [default: DATA/otel-audit/access/tokens.json]",
        ),
        click.option(
            "--sign-in",
            type=click.Choice(["none", "token"]),
            envvar="OTEL_AUDIT_SIGN_IN",
            help="Who may see the dashboard. token: holders of an access token (otel-audit token); none: whoever "
            "reaches it.  [default: none on 127.0.0.1, token elsewhere]",
        ),
    ):
        command = option(command)
    return command


@click.command(epilog="\b\nExample: otel-audit up --data audit-data --demo")
@receiver_options
@_dashboard_port
@_sign_in
@click.option("--no-dashboard", is_flag=True, help="Receiver only.")
@click.option("--demo", "with_demo", is_flag=True, help="Also run a small example system that makes live traffic.")
def up(
    *,
    dashboard_port: int,
    sign_in: str | None,
    tokens: Path | None,
    no_dashboard: bool,
    with_demo: bool,
    **settings: Any,
) -> None:
    """Run receiver, store and dashboard, until Ctrl-C."""
    _run(
        settings,
        dashboard_port=None if no_dashboard else dashboard_port,
        with_demo=with_demo,
        door=_arguments({"sign_in": sign_in, "tokens": tokens}),
    )


@click.command(epilog="\b\nExample: otel-audit serve --url http://writer:secret@clickhouse:8123/audit --host 0.0.0.0")
@receiver_options
def serve(**settings: Any) -> None:
    """Run the receiver alone."""
    _run(settings, dashboard_port=None, with_demo=False)


@click.command(epilog="\b\nExample: otel-audit dashboard --url http://reader:secret@clickhouse:8123/audit")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), envvar="OTEL_AUDIT_DATA", help="Data folder.")
@click.option("--url", envvar="OTEL_AUDIT_URL", help="ClickHouse server, http(s)://user:password@host:port/database.")
@click.option("--host", default=_LOOPBACK, show_default=True, envvar="OTEL_AUDIT_DASHBOARD_HOST", help="Address.")
@_sign_in
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    envvar="OTEL_AUDIT_ALLOWED_HOST",
    help="Host name that browsers use, such as audit.example.com; others are refused. Repeatable.",
)
@_dashboard_port
@click.option("--otlp-endpoint", envvar="OTEL_AUDIT_OTLP_ENDPOINT", help="Receiver that accesses are recorded at.")
@click.option(
    "--anchor-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="OTEL_AUDIT_ANCHOR_DIR",
    help="Folder with the anchored checkpoints.",
)
def dashboard(*, host: str, dashboard_port: int, allowed_hosts: tuple[str, ...], **places: Any) -> None:
    """Run the dashboard alone, beside a running receiver or on a ClickHouse server."""
    if not (places["data"] or places["url"]):
        raise click.UsageError("give --data DIR (a data folder) or --url URL (a ClickHouse server)")
    arguments = ["--host", host, "--port", str(dashboard_port), *_arguments(places)]
    for name in allowed_hosts:
        arguments += ["--allowed-host", name]
    command = dashboard_command(arguments)
    os.execv(command[0], command)  # noqa: S606 - in the place of this process: who ends it ends the dashboard


def _arguments(options: dict[str, Any]) -> list[str]:
    """The options that were given, as the dashboard's own process takes them."""
    return [word for name, value in options.items() if value for word in (f"--{name.replace('_', '-')}", str(value))]


def dashboard_command(arguments: list[str]) -> list[str]:
    """The command line of the dashboard's process: beside the package in a clone, else installed with it."""
    installed = importlib.util.find_spec("otel_audit_dashboard")
    places = [Path(place) for place in (installed.submodule_search_locations or ())] if installed else []
    for place in (Path(__file__).parents[3] / "dashboard", *places):  # a clone's install is a copy, perhaps an old one
        if (place / "server.py").is_file():
            return [sys.executable, str(place / "server.py"), *arguments]
    raise ConfigError("the dashboard is not installed: pip install 'otel-audit[dashboard]'")


def _run(settings: dict[str, Any], *, dashboard_port: int | None, with_demo: bool, door: Sequence[str] = ()) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(MaskingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if settings["host"] not in {_LOOPBACK, "localhost", "::1"}:
        click.echo(f"Note: OTLP is received on {settings['host']} from whoever can reach it.", err=True)
    # The dashboard is started before the engine is loaded into this process (the engine does not survive a fork).
    with children.Children() as family, contextlib.ExitStack() as stack:
        if dashboard_port is not None:
            dashboard_port = children.free_port(_LOOPBACK, dashboard_port, "--dashboard-port")
            arguments = ["--port", str(dashboard_port), "--data", str(settings["data"]), "--wait-for-receiver", *door]
            if settings["anchor_dir"]:
                arguments += ["--anchor-dir", str(settings["anchor_dir"])]
            # What it records of its viewers, and saves of their views, is masked as what the receiver takes.
            family.start("dashboard", dashboard_command(arguments), {POLICY_VARIABLE: settings["capture_policy"]})
        from otel_audit.receiver.own_metrics import exported_metrics  # noqa: PLC0415 - loads the SDK
        from otel_audit.receiver.service import Receiver, ReceiverSettings  # noqa: PLC0415 - loads the engine
        from otel_audit.store.folder import RunInfo  # noqa: PLC0415 - with it

        stack.enter_context(exported_metrics())
        receiver = Receiver(ReceiverSettings(**settings))
        _on_signals(receiver.request_stop)
        receiver.start()
        try:
            endpoint = f"http://{_LOOPBACK}:{receiver.grpc_port}"
            receiver.folder.write_run(
                RunInfo(
                    pid=os.getpid(),
                    front_port=receiver.front_port,
                    token=receiver.token,
                    grpc_port=receiver.grpc_port,
                    http_port=receiver.http_port,
                    dashboard_port=dashboard_port or 0,
                    control_port=receiver.control_port,
                )
            )
            if with_demo:
                family.start("demo", [sys.executable, "-m", "otel_audit", "demo", "--endpoint", endpoint])
            is_told = False
            while not receiver.wait(1.0 if is_told else _SOON):
                for name, code in family.ended():
                    click.echo(f"The {name} ended with code {code}; the receiver goes on.", err=True)
                # An address is told once it can be opened.
                shown = dashboard_port if family.runs("dashboard") else None
                if not is_told and (shown is None or children.answers(_LOOPBACK, shown)):
                    _tell(settings, receiver.grpc_port, receiver.http_port, shown, with_demo=with_demo)
                    is_told = True
        finally:
            family.stop("demo")
            receiver.stop()
            receiver.folder.clear_run()
    if receiver.conflict is not None:
        click.echo(f"otel-audit: stopped: {receiver.conflict}", err=True)
        raise click.exceptions.Exit(1)


def _tell(
    settings: dict[str, Any], grpc_port: int, http_port: int, dashboard_port: int | None, *, with_demo: bool
) -> None:
    host = settings["host"]
    if dashboard_port is not None:
        click.echo(f"Dashboard   http://{_LOOPBACK}:{dashboard_port}")
    click.echo(f"OTLP/gRPC   http://{host}:{grpc_port}")
    click.echo(f"OTLP/HTTP   http://{host}:{http_port}")
    click.echo(f"Ledger      {settings['url'].rpartition('@')[2] or settings['data']}")
    if with_demo:
        click.echo("Demo        a gateway, a scoring service and reviewers make live traffic")
    click.echo("Ctrl-C stops it in order.")


def _on_signals(stop: Callable[[], None]) -> None:
    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
