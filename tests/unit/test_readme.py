"""The documents say what the code does: commands, options, variables, codes, links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from otel_audit.cli import COMMANDS
from otel_audit.ledger.findings import STATUS_CODES, Code
from tests.unit.cli_reference import ROOT, documents, options, settings

_CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"```.*?```", re.DOTALL)
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_CALL = re.compile(r"(?:^|[\s/(])otel-audit(?= |$)([^\n|;&#]*)", re.MULTILINE)
_MAKE = re.compile(r"(?:^|[\s&;])make ([a-z][\w-]*)", re.MULTILINE)
_PAGES = [str(page.relative_to(ROOT)) for page in documents()]


def _code(page: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    code = "\n".join(fenced or inline for fenced, inline in _CODE.findall(text))
    return "\n".join(line for line in code.splitlines() if not line.lstrip().startswith("#"))


def _table(page: str, first_column: str) -> list[list[str]]:
    """Rows of the table with that heading, cells without their back-ticks."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def _slugs(page: Path) -> set[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)}


@pytest.mark.parametrize("page", _PAGES)
def test_each_command_and_option_in_the_documents_exists(page: str) -> None:
    """Whoever copies a command from a page gets no "no such option"."""
    for arguments in _CALL.findall(_code(page)):
        words = shlex.split(arguments.replace("'", " "))
        while words and words[0] in {"--config", "--version", "--help"}:
            words = words[2:] if words[0] == "--config" else words[1:]
        if not words or not re.fullmatch(r"[a-z][a-z-]*", words[0]):
            continue  # the name of the program alone, or a placeholder
        assert words[0] in COMMANDS, f"{page}: otel-audit {words[0]}"
        known = options(words[0])
        for word in words[1:]:
            if word.startswith("--"):
                assert word.split("=")[0] in known, f"{page}: otel-audit {words[0]} {word}"


@pytest.mark.parametrize("page", _PAGES)
def test_each_make_target_in_the_documents_exists(page: str) -> None:
    """Whoever copies a make command from a page gets no "no rule to make target"."""
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(_MAKE.findall(_code(page))) <= targets


@pytest.mark.parametrize("page", _PAGES)
def test_each_relative_link_resolves(page: str) -> None:
    """A link within the project leads to a file and, if it names one, to a heading that are there."""
    here = ROOT / page
    for link in _LINK.findall(_FENCE.sub("", here.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (here.parent / path).resolve() if path else here
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in _slugs(target), f"{page}: {link} has no such heading"


def test_readme_shows_the_quick_start_commands() -> None:
    """The README names the two commands that a fresh clone needs, and the developers' one."""
    code = _code("README.md")
    assert {"up", "test"} <= set(_MAKE.findall(code))
    assert "git clone" in code


def test_the_findings_table_has_every_code_once() -> None:
    """Each code that verify can report is explained, none is invented, and statuses are told from evidence."""
    rows = {row[0].strip("`"): row[1] for row in _table("docs/design/threat-model.md", "code")}
    assert rows == {str(code): "status" if code in STATUS_CODES else "evidence" for code in Code}


def test_the_settings_table_is_what_the_commands_have() -> None:
    """Each environment variable is documented with its option, its commands and its default, and no other is."""
    documented = {}
    for variable, option, commands, default, _ in _table("docs/how-to/operate.md", "variable"):
        names = {name.strip("` ") for name in commands.split(",")}
        documented[variable.strip("`"), option.strip("`"), default.strip("`")] = names
    config = ("OTEL_AUDIT_CONFIG", "--config", "otel-audit.toml`, if there is one")
    assert documented.pop(config) == {"all (before the command)"}
    assert documented == {(s.variable, s.option, s.default): names for s, names in settings().items()}
