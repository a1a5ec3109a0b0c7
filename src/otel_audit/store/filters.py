"""A ``Filter`` as SQL conditions: static text from ``sql/reader_filters.sql``, values as parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any, Final

from otel_audit.errors import ConfigError
from otel_audit.model import Filter, Sight
from otel_audit.store.sql_text import sql_blocks

MAX_TERMS: Final = 12  # each one is a pass over the text index
_TERM: Final = re.compile(r'"([^"]+)"|(\S+)')
_TOKEN: Final = re.compile(r"[0-9a-z]+")
_INDEXED_LENGTH: Final = 4  # ClickHouse text_index_like_min_pattern_length: shorter patterns read every text
_JSON_ESCAPES: Final = ("", "n", "r", "t")  # in JSON text the letter of \n sticks to the word that follows

_TASK_CALL: Final = (
    "task_asked_model",
    "task_answering_model",
    "task_prompt_name",
    "task_prompt_version",
    "task_service",
)
# Not one condition each with the value as it is: several fields make one, or one field makes several.
_TOGETHER: Final = {"text", "figure", "quick_floor", "words_per_minute", "sizes", "beyond", *_TASK_CALL}
# Decided by other entries than the one that is asked about, which may lie outside of a scope.
LOOKS_BEYOND: Final = ("figure", "next_decision", *_TASK_CALL)
NO_SCOPE: Final = frozenset({"text", "sizes", "beyond", "quick_floor", "words_per_minute", *LOOKS_BEYOND})
EVERYTHING: Final = Sight()

Parameters = dict[str, Any]


def conditions(where: Filter, sight: Sight = EVERYTHING) -> tuple[str, Parameters]:
    """The SQL that narrows ``audit_entries AS e`` to what is both in ``where`` and in ``sight``, and its parameters.

    The text is empty or begins with AND, ready to follow ``WHERE true``. Raises ConfigError for a
    text of more than MAX_TERMS words, and for a filter that would tell of entries outside of the scope.

    >>> conditions(Filter(task_id="loan-4711"))
    ('AND e.task_id = {task_id:String}', {'task_id': 'loan-4711'})
    """
    condition, parameters = _conditions(where, texts=sight.texts)
    if sight.scope == Filter():
        return condition, parameters
    if beyond := [name for name in LOOKS_BEYOND if getattr(where, name)]:
        raise ConfigError(f"filter {', '.join(beyond)}: not possible here, because you see a part of the record only")
    if wrong := [name for name in sorted(NO_SCOPE) if getattr(sight.scope, name) not in ("", (), None)]:
        raise ConfigError(f"scope {', '.join(wrong)}: a scope can not be made of this")
    scope, values = _conditions(sight.scope, texts=True)
    # A name of its own for each parameter of the scope: what is asked for can never take its place.
    scope = re.sub(r"\{(\w+):", r"{scope_\1:", scope)
    return f"{condition} {scope}".strip(), parameters | {f"scope_{name}": value for name, value in values.items()}


def _conditions(where: Filter, *, texts: bool) -> tuple[str, Parameters]:
    blocks = sql_blocks("reader_filters")
    parts: list[str] = []
    parameters: Parameters = {}
    for field in fields(where):
        value = getattr(where, field.name)
        if field.name in _TOGETHER or value is None or (not value and not isinstance(value, (int, float))):
            continue  # since=0 is 1970, everything else that is empty means "any"
        parts.append(blocks[field.name])
        parameters[field.name] = value if isinstance(value, (str, int, float)) else list(value)
    for condition, values in (_sizes(where), _beyond(where), _task_call(where), _figure(where)):
        parts += [in_period(condition, where)] if condition else []
        parameters |= values
    for number, term in enumerate(terms(where.text)):
        condition, values = _term_condition(term, texts=texts)
        # A statement may hold several terms: each one's parameters carry its number.
        for name in values:
            condition = re.sub(rf"\{{{name}:", f"{{{name}_{number}:", condition)
        parts.append(condition)
        parameters |= {f"{name}_{number}": value for name, value in values.items()}
    return " ".join(f"AND {part}" for part in parts), parameters


def in_period(text: str, where: Filter) -> str:
    """A statement, or a part of one, whose subqueries read no more than what the filter's period needs.

    ``/*period*/`` in it becomes what the filter says of columns of ``audit_entries AS e``, and ``/*tasks*/`` the
    condition that the filter has a review of the task. Both only narrow what is read, and are left out where the
    filter has no period: then everything is needed, and asking twice costs more.
    """
    if where.since is None and where.until is None:
        return text.replace("/*period*/", "").replace("/*tasks*/", "")
    named = {field.name: getattr(where, field.name) for field in fields(where) if field.name not in _TOGETHER}
    plain, _ = _conditions(Filter(**named), texts=False)
    tasks = sql_blocks("reader_filters")["tasks"].replace("/*period*/", plain)
    return text.replace("/*tasks*/", tasks).replace("/*period*/", plain)


def _sizes(where: Filter) -> tuple[str, Parameters]:
    """The condition for a frozen view: plain comparisons with the primary key.

    At a million entries a lambda over the list of ledgers costs more than the rest of a figure.
    """
    return _below(where.sizes, "")


def _beyond(where: Filter) -> tuple[str, Parameters]:
    """The condition for what a frozen view did not have yet."""
    condition, parameters = _below(where.beyond, "beyond_")
    return (f"NOT {condition}" if condition else "", parameters)


def _below(sizes: Sequence[tuple[str, int]], prefix: str) -> tuple[str, Parameters]:
    block = sql_blocks("reader_filters")["sizes"]
    parts: list[str] = []
    parameters: Parameters = {}
    for number, (origin, size) in enumerate(sizes):
        names = {"origin": f"{prefix}origin_{number}", "size": f"{prefix}size_{number}"}
        parts.append(block.replace("{origin:", f"{{{names['origin']}:").replace("{size:", f"{{{names['size']}:"))
        parameters |= {names["origin"]: origin, names["size"]: size}
    return (f"({' OR '.join(parts)})" if parts else "", parameters)


def _task_call(where: Filter) -> tuple[str, Parameters]:
    """The condition for entries of tasks that one AI call answered; of that call all that is set holds."""
    asked: Parameters = {name: list(getattr(where, name)) for name in _TASK_CALL}
    return (sql_blocks("reader_filters")["task_call"], asked) if any(asked.values()) else ("", {})


def _figure(where: Filter) -> tuple[str, Parameters]:
    """The condition for the set of events behind a figure. Raises ConfigError for one that is not known."""
    if not where.figure:
        return "", {}
    sets = sql_blocks("figure_filters")
    if where.figure not in sets:
        raise ConfigError(f"filter figure: there is no {where.figure!r}; possible: {', '.join(sets)}")
    values: Parameters = {}
    if where.figure == "quick":
        if where.quick_floor is None or where.words_per_minute is None or where.words_per_minute < 1:
            raise ConfigError("filter figure=quick needs quick_floor (seconds) and words_per_minute (at least 1)")
        values = {"quick_floor": where.quick_floor, "words_per_minute": where.words_per_minute}
    return sets[where.figure], values


def terms(text: str) -> list[str]:
    """Words and "quoted phrases" of a text filter. Raises ConfigError when there are too many.

    >>> terms('payslip "4 months old"')
    ['payslip', '4 months old']
    """
    found = [phrase or word for phrase, word in _TERM.findall(text.replace("\0", " "))]
    if len(found) > MAX_TERMS:
        raise ConfigError(f"text filter has {len(found)} words, at most {MAX_TERMS} are possible: leave some out")
    return found


def _term_condition(term: str, *, texts: bool) -> tuple[str, Parameters]:
    """The condition for one term: it matches anywhere in an identifying column, or in a text (``texts``)."""
    in_content, values = content_condition(term) if texts else ("false", {})
    return sql_blocks("reader_filters")["term"].replace("/*in_content*/", in_content), values | {"term": term}


def content_condition(term: str) -> tuple[str, Parameters]:
    """The condition on ``audit_content AS c`` for a text that has ``term`` in it, ignoring case.

    A term of fewer than four letters and digits of ASCII, and nothing else, matches whole words only.
    """
    blocks = sql_blocks("reader_filters")
    lowered = term.lower()
    tokens = _TOKEN.findall(lowered)
    if tokens == [lowered] and len(lowered) < _INDEXED_LENGTH:
        return blocks["content_tokens"], {"tokens": [escape + lowered for escape in _JSON_ESCAPES]}
    # The text index knows words of ASCII: each long one of a term narrows, then the term itself decides.
    words = [token for token in tokens if len(token) >= _INDEXED_LENGTH and token != lowered]
    patterns = [f"%{word}%" for word in words] + ([f"%{escape_like(lowered)}%"] if term.isascii() else [])
    conditions = [blocks["content_like"].replace("{pattern:", f"{{pattern{n}:") for n in range(len(patterns))]
    parameters: Parameters = {f"pattern{n}": pattern for n, pattern in enumerate(patterns)}
    if not term.isascii():
        conditions.append(blocks["content_match"])
        parameters["expression"] = "".join(map(_any_case, term))
    return " AND ".join(conditions), parameters


def _any_case(letter: str) -> str:
    r"""One letter as a regular expression (RE2) over lower-case text: as it is, or each case of it as JSON escapes it.

    >>> print(_any_case("Ä"))
    (?:\\u00c4|\\u00e4|ä)
    """
    if letter.isascii():
        return re.escape(letter.lower())
    cases = _same_letter().get(letter.casefold(), letter)
    escaped = [re.escape(json.dumps(case)[1:-1]) for case in cases]
    return f"(?:{'|'.join(dict.fromkeys([*escaped, *(case.lower() for case in cases)]))})"


@cache
def _same_letter() -> dict[str, str]:
    """Letters beyond ASCII that differ in case alone (as the sigmas do), by what Unicode folds them to."""
    found: dict[str, str] = {}
    for letter in map(chr, range(0x80, 0x20000)):
        if letter.isalpha():
            found[letter.casefold()] = found.get(letter.casefold(), "") + letter
    return found


def escape_like(text: str) -> str:
    r"""``text`` as a LIKE pattern that matches itself alone.

    >>> escape_like("50%_off")
    '50\\%\\_off'
    """
    return re.sub(r"([\\%_])", r"\\\1", text)
