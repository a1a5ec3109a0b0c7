"""The doctor's report: its page in the documentation, its levels, and terminals of every kind."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

from otel_audit.doctor import findings, report
from otel_audit.doctor.findings import Name, Part

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "doctor.md"


def test_the_page_explains_every_finding() -> None:
    """Each name of the code is in the page's tables once, and the page has no other."""
    named = re.findall(r"^\| `([a-z][a-z0-9-]*)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(each.value for each in Name)


def test_every_name_is_found_somewhere() -> None:
    """No name is one that the code can not find."""
    sources = [*(ROOT / "src/otel_audit/doctor").glob("*.py"), ROOT / "src/otel_audit/reports/trail_health.py"]
    used = {
        node.attr
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Name"
    }
    assert used == {each.name for each in Name}


FINDINGS = [
    findings.problem(Part.SPOOL, Name.SPOOL_FILLING, "it is full", "It fills up.", "Empty it: $ rm it"),
    findings.ok(Part.SETTINGS, "all is set"),
    findings.note(Part.SETTINGS, Name.SERVICE_UNNAMED, "no name"),
]


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_parts_are_in_order_with_their_signs() -> None:
    """Settings come before the spool, whatever was found first."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    report.write(FINDINGS, out, "about")
    out.seek(0)
    assert out.read().splitlines() == [
        "about",
        "",
        "Settings",
        "  ✓ all is set",
        "  ! no name [service-unnamed]",
        "",
        "Spool",
        "  ✗ it is full [spool-filling]",
        "    It fills up.",
        "    → Empty it:",
        "        rm it",
        "",
        "1 problem and 1 note. docs/how-to/doctor.md explains each.",
    ]


def test_a_terminal_without_unicode_gets_plain_signs() -> None:
    """Nothing fails under LANG=C."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    report.write(FINDINGS, out, "about")
    out.flush()
    assert b"  + all is set" in raw.getvalue()
    assert b"  x it is full" in raw.getvalue()


def test_colours_are_for_terminals_that_want_them(monkeypatch) -> None:
    """NO_COLOR is respected."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    coloured = _Terminal()
    report.write(FINDINGS, coloured, "about")
    assert "\x1b[31m✗\x1b[0m" in coloured.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = _Terminal()
    report.write(FINDINGS, plain, "about")
    assert "\x1b" not in plain.getvalue()


def test_a_name_that_others_chose_can_not_steer_the_terminal() -> None:
    """Escape sequences in a service's name are shown as what they are not."""
    out = _Terminal()
    evil = findings.note(Part.TRAIL, Name.TRAIL_NO_CALLS, "a\x1b[2Jb", "c\x07d", "$ rm \x1b[1m")
    report.write([evil], out, "about")
    assert "\x1b[2J" not in out.getvalue()
    assert "\x1b[1m\n" not in out.getvalue()
    assert "\x07" not in out.getvalue()


def test_programs_get_every_field() -> None:
    """JSON has the names, the levels and the commands as they are typed."""
    said = report.as_json(FINDINGS)
    assert said["ok"] is False
    assert said["findings"][0] == {
        "part": "Spool",
        "level": "problem",
        "what": "it is full",
        "name": "spool-filling",
        "why": "It fills up.",
        "mend": ["Empty it: rm it"],
    }
    assert report.as_json(FINDINGS[1:])["ok"] is True
