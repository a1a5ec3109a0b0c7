"""Every command explains itself."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from otel_audit.cli import COMMANDS, cli


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_an_example_on_a_line_of_its_own(command):
    """Whoever asks a command for help sees how it is typed, as it is typed."""
    shown = CliRunner().invoke(cli, [command, "--help"])
    assert shown.exit_code == 0
    assert "\\b" not in shown.output
    assert any(
        line.strip().removeprefix("Examples: ").removeprefix("Example: ").startswith(f"otel-audit {command}")
        for line in shown.output.splitlines()
    )
