"""What the command line really has, for tests that compare documents with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from otel_audit.cli import COMMANDS, cli

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Setting:
    """An option of a command that can also be given as an environment variable."""

    variable: str
    option: str
    default: str


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None, f"there is no command {name}"
    return found


def options(name: str) -> dict[str, click.Option]:
    """Each option string (``--data``, ``-h``) of a command; of a group, those of its commands too."""
    asked = command(name)
    commands = [asked, *(asked.commands.values() if isinstance(asked, click.Group) else ())]
    own = [parameter for each in commands for parameter in each.params if isinstance(parameter, click.Option)]
    found = {text: option for option in own for text in (*option.opts, *option.secondary_opts)}
    help_option = command(name).get_help_option(click.Context(cli))
    assert help_option is not None
    return found | {"--help": help_option, "-h": help_option}


def settings() -> dict[Setting, set[str]]:
    """Every option with an environment variable, and the commands that have it."""
    found: dict[Setting, set[str]] = {}
    for name in COMMANDS:
        for parameter in command(name).params:
            if not isinstance(parameter, click.Option) or not parameter.envvar:
                continue
            variables = [parameter.envvar] if isinstance(parameter.envvar, str) else list(parameter.envvar)
            default = parameter.get_default(click.Context(command(name)))
            # Without a default click gives None, or a marker of its own.
            shown = str(default) if default and isinstance(default, str | int | float | Path) else "none"
            for variable in variables:
                found.setdefault(Setting(variable, parameter.opts[0], shown), set()).add(name)
    return found


def documents() -> list[Path]:
    """Every page of the project, those of caches and virtual environments left out."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("collector-config/*.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(page for page in pages if not any(part.startswith(".") for part in page.relative_to(ROOT).parts))
