"""The SQL of the store, loaded from ``store/sql/*.sql``: no module carries SQL of its own.

Values never enter the text: statements name server-side parameters, ``{task_id:String}``. What several statements
share is in a file of its own, which a line ``-- include: <name>.sql`` of theirs stands for.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

from otel_audit.errors import ConfigError

_BLOCK_HEADER: Final = re.compile(r"^-- name: *(\w+)[^\n]*$", re.MULTILINE)
_INCLUDE: Final = re.compile(r"^ *-- include: *(\w+)\.sql *$", re.MULTILINE)


@cache
def sql(name: str) -> str:
    """The text of ``store/sql/<name>.sql`` with what it includes. Raises ConfigError when a file is missing.

    >>> "audit_entries" in sql("reader_totals")
    True
    """
    try:
        text = files("otel_audit.store").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise ConfigError(f"sql/{name}.sql is missing from this installation of otel-audit: install it again") from exc
    return _INCLUDE.sub(lambda line: sql(line[1]), text)


@cache
def sql_blocks(name: str) -> dict[str, str]:
    """The blocks of ``store/sql/<name>.sql``, each begun by a line ``-- name: <block>``, by block name.

    Text before the first header is the file's own comment. Raises ConfigError for a block that
    appears twice.
    """
    parts = _BLOCK_HEADER.split(sql(name))
    names, texts = parts[1::2], parts[2::2]
    if len(set(names)) != len(names):
        raise ConfigError(f"sql/{name}.sql names a block twice: {sorted(names)}")
    return {block: text.strip() for block, text in zip(names, texts, strict=True)}
