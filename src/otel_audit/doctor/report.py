"""The findings as a person reads them, and as a program does."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final, TextIO

from otel_audit.doctor.findings import Finding, Level, Part, has_problem, listed

_SIGNS: Final = {Level.OK: "✓", Level.NOTE: "!", Level.PROBLEM: "✗"}
_PLAIN_SIGNS: Final = {Level.OK: "+", Level.NOTE: "!", Level.PROBLEM: "x"}
_COLOURS: Final = {Level.OK: "32", Level.NOTE: "33", Level.PROBLEM: "31"}
_WIDEST: Final = 100
_COMMAND: Final = "$ "
_PAGE: Final = "docs/how-to/doctor.md explains each."


def write(findings: Sequence[Finding], out: TextIO, about: str) -> None:
    """Print the report. ``about`` is one line on what was looked at."""
    try:
        "✓".encode(out.encoding or "ascii")
        signs = _SIGNS
    except (UnicodeEncodeError, LookupError):
        signs = _PLAIN_SIGNS
    is_coloured = out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)

    def coloured(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if is_coloured else text

    lines = [about]
    for part in Part:
        those = [each for each in findings if each.part is part]
        if those:
            lines += ["", coloured(part.value, "1")]
        for each in those:
            sign = coloured(signs[each.level], _COLOURS[each.level])
            name = f" [{each.name}]" if each.name else ""
            first, *rest = _wrapped(each.what + name, width - 4) or [""]
            lines += [f"  {sign} {first}", *(f"    {line}" for line in rest)]
            lines += _explained(each, width)
    lines += ["", coloured(summary(findings), "31" if has_problem(findings) else "32")]
    text = "\n".join(lines) + "\n"
    if signs is _PLAIN_SIGNS:
        text = text.encode("ascii", "replace").decode()
    out.write(text)


def _printable(line: str) -> str:
    """Names that others chose can not steer the terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in line)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of whole words: the names of packages, variables and files are never torn."""
    return textwrap.wrap(_printable(text), width, break_on_hyphens=False, break_long_words=False)


def _explained(finding: Finding, width: int) -> Iterator[str]:
    if finding.why:
        yield from (f"    {line}" for line in _wrapped(finding.why, width - 4))
    for step in finding.mend:
        words, _, command = step.partition(_COMMAND)
        if words:
            first, *rest = _wrapped(words, width - 6)
            yield from (f"    → {first}", *(f"      {line}" for line in rest))
        if command:  # whole, however long: it is to be copied
            yield f"        {_printable(command)}"


def summary(findings: Sequence[Finding]) -> str:
    """How many problems and notes there are.

    >>> summary([])
    'No problem found.'
    """
    problems = sum(each.level is Level.PROBLEM for each in findings)
    notes = sum(each.level is Level.NOTE for each in findings)
    counts = [f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((problems, "problem"), (notes, "note")) if n]
    if not problems:
        return "No problem found." if not notes else f"No problem found, {counts[0]}. {_PAGE}"
    return f"{listed(counts)}. {_PAGE}"


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """For programs: whether all is well, and every finding."""
    found = [{**asdict(each), "mend": [step.replace(_COMMAND, "", 1) for step in each.mend]} for each in findings]
    return {"ok": not has_problem(findings), "findings": found}
