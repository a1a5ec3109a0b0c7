"""Reasons: codes of the customer's own list, and free text."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from opentelemetry.util.types import AttributeValue

from otel_audit.errors import ConfigError, UnknownRationaleCode
from otel_audit.instrumentation._context import text
from otel_audit.instrumentation._faults import guard, note
from otel_audit.semconv import (
    AUDIT_RATIONALE_CODE,
    AUDIT_RATIONALE_MEANING,
    AUDIT_RATIONALE_TEXT,
    AUDIT_RATIONALE_UNKNOWN_CODE,
)

CODES_VARIABLE: Final = "OTEL_AUDIT_RATIONALE_CODES"

Codes: TypeAlias = str | Iterable[str]
CodeList: TypeAlias = Mapping[str, str] | Iterable[str] | str | os.PathLike[str]


def listed(codes: Codes) -> list[str]:
    """The codes as a list, one given as a plain string too; none (counted) of what is neither."""
    with guard("rationale_code"):
        return [text(code) for code in ([codes] if isinstance(codes, str) else codes) if code]
    return []


@dataclass(frozen=True, slots=True)
class RationaleCodes:
    """The customer's list: what each code means, "" where nobody said. Without one (None) any code will do."""

    meanings: Mapping[str, str] | None = None
    is_strict: bool = False
    source: str = field(default="", compare=False)

    @classmethod
    def of(cls, given: CodeList, *, strict: bool = False) -> RationaleCodes:
        """The list given as codes, as code and meaning, or as the path of a TOML or JSON file.

        Raises ConfigError when it can not be read, or is neither.
        """
        if isinstance(given, str | os.PathLike):
            path = Path(given)
            return cls(_from_file(path), strict, str(path))
        if isinstance(given, Mapping):
            return cls({str(code): str(meaning or "") for code, meaning in given.items()}, strict, "configure()")
        return cls(dict.fromkeys(map(str, given), ""), strict, "configure()")

    def check(self, codes: list[str]) -> None:
        """Raise UnknownRationaleCode for a code that is not in the list, where the list is strict."""
        if self.is_strict and (unknown := self._unknown(codes)):
            raise UnknownRationaleCode(
                f"rationale code {unknown[0]!r} is not among the {len(self.meanings or ())} of {self.source}: "
                "use one of them or add it; nothing was recorded"
            )

    def attributes(self, codes: list[str], reason: str | None) -> dict[str, AttributeValue]:
        """The attributes of a reason. Unknown codes are recorded as given, marked and counted."""
        found: dict[str, AttributeValue] = {}
        if codes:
            found[AUDIT_RATIONALE_CODE] = codes
            meanings = [text((self.meanings or {}).get(code, "")) for code in codes]
            if any(meanings):
                found[AUDIT_RATIONALE_MEANING] = meanings
            if unknown := self._unknown(codes):
                found[AUDIT_RATIONALE_UNKNOWN_CODE] = unknown
                # Without the code: what somebody typed into a field for codes does not belong into a log.
                note("rationale_code", f"a code that is not in the list of {self.source}; it is recorded and marked")
        if reason is not None:
            found[AUDIT_RATIONALE_TEXT] = text(reason)
        return found

    def _unknown(self, codes: list[str]) -> list[str]:
        return [] if self.meanings is None else [code for code in codes if code not in self.meanings]


def _from_file(path: Path) -> dict[str, str]:
    try:
        content = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".toml":
            values: Any = tomllib.loads(content)
        elif path.suffix.lower() == ".json":
            values = json.loads(content)
        else:
            raise ConfigError(f"rationale codes: {path} is neither .toml nor .json; use one of these")
    except OSError as exc:
        raise ConfigError(f"rationale codes: {path} can not be read ({exc.strerror}); give the path of a file") from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"rationale codes: {path} is no {path.suffix[1:].upper()} ({exc}); mend it") from exc
    if isinstance(values, list) and all(isinstance(code, str) for code in values):
        return dict.fromkeys(values, "")
    if isinstance(values, dict):
        return dict(_flattened(values, "", path))
    raise ConfigError(f"rationale codes: {path} holds neither a list of codes nor code and meaning")


def _flattened(values: Mapping[str, Any], prefix: str, path: Path) -> Iterator[tuple[str, str]]:
    """Code and meaning; the tables of a file are the parts of a code before its dots."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}.", path)
        elif isinstance(value, str):
            yield f"{prefix}{name}", value
        else:
            raise ConfigError(f"rationale codes: {path}: the meaning of {prefix + name!r} is no text; write it as one")
