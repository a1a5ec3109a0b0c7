"""A ``Filter`` as SQL conditions: static text from ``sql/reader_filters.sql``, values as parameters."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any, Final

from otel_audit.errors import ConfigError
from otel_audit.model import Filter
from otel_audit.store.sql_text import sql_blocks

MAX_TERMS: Final = 12  # each one is a pass over the text index
_TERM: Final = re.compile(r'"([^"]+)"|(\S+)')
_TOKEN: Final = re.compile(r"[0-9a-z]+")
_INDEXED_LENGTH: Final = 4  # ClickHouse text_index_like_min_pattern_length: shorter patterns read every text
_JSON_ESCAPES: Final = ("", "n", "r", "t")  # in JSON text the letter of \n sticks to the word that follows

Parameters = dict[str, Any]


def conditions(where: Filter) -> tuple[str, Parameters]:
    """The SQL that narrows ``audit_entries AS e`` to ``where``, and its parameters.

    The text is empty or begins with AND, ready to follow ``WHERE true``. Raises ConfigError for a
    text of more than MAX_TERMS words.

    >>> conditions(Filter(task_id="loan-4711"))
    ('AND e.task_id = {task_id:String}', {'task_id': 'loan-4711'})
    """
    blocks = sql_blocks("reader_filters")
    parts: list[str] = []
    parameters: Parameters = {}
    for field in fields(where):
        value = getattr(where, field.name)
        if field.name == "text" or value is None or (not value and not isinstance(value, int)):
            continue  # since=0 is 1970, everything else that is empty means "any"
        parts.append(blocks[field.name])
        parameters[field.name] = value if isinstance(value, (str, int)) else list(value)
    for number, term in enumerate(terms(where.text)):
        condition, values = _term_condition(term)
        # A statement may hold several terms: each one's parameters carry its number.
        for name in values:
            condition = re.sub(rf"\{{{name}:", f"{{{name}_{number}:", condition)
        parts.append(condition)
        parameters |= {f"{name}_{number}": value for name, value in values.items()}
    return " ".join(f"AND {part}" for part in parts), parameters


def terms(text: str) -> list[str]:
    """Words and "quoted phrases" of a text filter. Raises ConfigError when there are too many.

    >>> terms('payslip "4 months old"')
    ['payslip', '4 months old']
    """
    found = [phrase or word for phrase, word in _TERM.findall(text.replace("\0", " "))]
    if len(found) > MAX_TERMS:
        raise ConfigError(f"text filter has {len(found)} words, at most {MAX_TERMS} are possible: leave some out")
    return found


def _term_condition(term: str) -> tuple[str, Parameters]:
    """The condition for one term. Its parameters are named without number.

    A term matches anywhere in an identifying column, and anywhere in a text; one of fewer than four
    letters and digits matches whole words of a text only.
    """
    blocks = sql_blocks("reader_filters")
    lowered = term.lower()
    tokens = _TOKEN.findall(lowered)
    values: Parameters = {"term": term}
    wanted: list[str] = []
    # The text index knows words: each long word of the term narrows, then the whole term decides.
    for position, token in enumerate(tokens):
        if len(token) >= _INDEXED_LENGTH and term.isascii():
            wanted.append(blocks["content_like"].replace("{pattern:", f"{{part{position}:"))
            values[f"part{position}"] = f"%{token}%"
    if not term.isascii():
        wanted.append(blocks["content_spellings"])
        values["spellings"] = _spellings(term)
    elif tokens == [lowered] and len(lowered) < _INDEXED_LENGTH:
        wanted.append(blocks["content_tokens"])
        values["tokens"] = [escape + lowered for escape in _JSON_ESCAPES]
    elif tokens != [lowered]:
        wanted.append(blocks["content_like"])
        values["pattern"] = f"%{escape_like(lowered)}%"
    return blocks["term"].replace("/*in_content*/", " AND ".join(wanted)), values


def _spellings(term: str) -> list[str]:
    """The term as it is, and as JSON escapes it (which hides its case from the engine)."""
    cases = (term, term.lower(), term.upper(), term.title())
    return list(dict.fromkeys([term, *(json.dumps(case)[1:-1] for case in cases)]))


def escape_like(text: str) -> str:
    r"""``text`` as a LIKE pattern that matches itself alone.

    >>> escape_like("50%_off")
    '50\\%\\_off'
    """
    return re.sub(r"([\\%_])", r"\\\1", text)
