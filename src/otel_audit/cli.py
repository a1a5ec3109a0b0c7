"""The ``otel-audit`` command. Exit codes: 0 = fine, 1 = found a problem, 2 = could not do it."""

from __future__ import annotations

import importlib
import os
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

try:
    import click
except ModuleNotFoundError as exc:  # pragma: no cover - the base install is for applications
    sys.stderr.write(
        "otel-audit: the commands need more than an application does: pip install 'otel-audit[all]'\n"
        "The doctor needs no more than this: python -m otel_audit.doctor\n"
    )
    raise SystemExit(2) from exc

from otel_audit.errors import AuditError

EXIT_FOUND_PROBLEM: Final = 1
EXIT_COULD_NOT: Final = 2
CONFIG_FILE: Final = "otel-audit.toml"
# Where each command is. Imported when it is asked for: `up` needs no Parquet, `search` no gRPC server.
COMMANDS: Final = {
    "up": "otel_audit.receiver.commands",
    "serve": "otel_audit.receiver.commands",
    "dashboard": "otel_audit.receiver.commands",
    "demo": "otel_audit.demo.command",
    "search": "otel_audit.reports.read_commands",
    "timeline": "otel_audit.reports.read_commands",
    "trace": "otel_audit.reports.read_commands",
    "export": "otel_audit.export_command",
    "bundle": "otel_audit.bundle_command",
    "report": "otel_audit.report_command",
    "verify": "otel_audit.reports.verify_command",
    "receipt": "otel_audit.reports.receipt_command",
    "review-logs": "otel_audit.reports.log_review_command",
    "checkpoint": "otel_audit.receiver.ledger_commands",
    "erase": "otel_audit.erase_command",
    "witness": "otel_audit.receiver.witness_command",
    "keys": "otel_audit.receiver.key_commands",
    "retention": "otel_audit.receiver.retention_commands",
    "hold": "otel_audit.receiver.retention_commands",
    "anchor": "otel_audit.receiver.ledger_commands",
    "doctor": "otel_audit.reports.doctor_command",
    "token": "otel_audit.reports.token_command",
}

_EXAMPLES: Final = """\b
otel-audit up --demo                         everything, with live example traffic
otel-audit search --task loan-4711           what happened to this task?
otel-audit export --format csv --out q4.csv  take it with you
otel-audit verify                            was anything altered?
"""


class _Commands(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name.replace("-", "_"))
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of our output went away (`| head`): not an error, and nothing more to say to it.
            # Caught here, because click itself would make it exit code 1, which means "found a problem".
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0


@click.group(
    cls=_Commands, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="otel-audit")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="OTEL_AUDIT_CONFIG",
    help=f"Settings file (default: {CONFIG_FILE} in this folder, if there is one).",
)
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """An audit trail for AI systems that people query, understand and trust."""
    if context.invoked_subcommand is not None:
        command = cli.get_command(context, context.invoked_subcommand)
        if command is not None:
            context.default_map = {context.invoked_subcommand: settings_for(command, config)}


def _parameters(command: click.Command) -> list[click.Parameter]:
    """The parameters of a command, and of all commands of a group."""
    return [*command.params, *(each for sub in _subcommands(command).values() for each in sub.params)]


def _subcommands(command: click.Command) -> dict[str, click.Command]:
    return dict(command.commands) if isinstance(command, click.Group) else {}


def settings_for(command: click.Command, config: Path | None) -> dict[str, Any]:
    """What the settings file says for ``command``, by parameter name.

    Keys are option names without the dashes in front: top-level ones are for every command that has the option,
    those in a ``[command]`` table for that one. Raises ClickException for a file or a key that is wrong.
    """
    path = config or Path(CONFIG_FILE)
    if config is None and not path.exists():
        return {}
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise click.ClickException(f"{path}: {exc}") from exc
    tables = {key: value for key, value in settings.items() if isinstance(value, dict)}
    if unknown := sorted(tables.keys() - COMMANDS.keys()):
        raise click.ClickException(f"{path}: [{unknown[0]}] is no command; there are {', '.join(COMMANDS)}")
    options = {
        text.removeprefix("--"): option
        for option in _parameters(command)
        if isinstance(option, click.Option)
        for text in option.opts
    }
    own = {key.replace("_", "-"): value for key, value in tables.get(str(command.name), {}).items()}
    if unknown := sorted(own.keys() - options.keys()):
        raise click.ClickException(
            f"{path}: [{command.name}] {unknown[0]}: {command.name} has no option --{unknown[0]}"
        )
    shared = {key.replace("_", "-"): value for key, value in settings.items() if key not in tables}
    wanted = {key: value for key, value in {**shared, **own}.items() if key in options}
    defaults = {
        str(options[key].name): [value] if options[key].multiple and not isinstance(value, list) else value
        for key, value in wanted.items()
    }
    if subcommands := _subcommands(command):
        # click takes the defaults of a group's commands by their names; each has what it has an option for.
        return {
            name: {each.name: defaults[each.name] for each in sub.params if each.name in defaults}
            for name, sub in subcommands.items()
        }
    return defaults


def main() -> None:
    """Entry point of the ``otel-audit`` script."""
    click.ClickException.exit_code = EXIT_COULD_NOT
    try:
        raise SystemExit(cli.main(standalone_mode=False) or 0)  # an Exit's code comes back as the result
    except click.Abort as exc:
        raise SystemExit(EXIT_COULD_NOT) from exc
    except click.ClickException as exc:
        exc.show()
        raise SystemExit(EXIT_COULD_NOT) from exc
    except AuditError as exc:
        click.echo(f"otel-audit: {exc}", err=True)
        raise SystemExit(EXIT_COULD_NOT) from exc
