"""An event while a convention writes it: typed columns, and content taken from attributes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from otel_audit.conventions.content import Content
from otel_audit.conventions.record import Record
from otel_audit.conventions.text import CLASSES, PLAIN, SHORT, is_long
from otel_audit.conventions.values import Value, format_typed
from otel_audit.model import EventColumns

if TYPE_CHECKING:
    from otel_audit.conventions.derived import Approval

_COUNT_LIMIT: Final = 1 << 64  # columns of counts are UInt64


def name(value: Value) -> str | None:
    """A name or id. Numbers and booleans as JSON writes them; a long text is none."""
    if type(value) is str:
        return value if value and not is_long(value) else None
    return format_typed(value) if isinstance(value, int | float) else None


def count(value: Value) -> int | None:
    """A count, also where the producer wrote it as a string or a double."""
    if type(value) is int:
        return value if 0 <= value < _COUNT_LIMIT else None
    amount = number(value)
    return int(amount) if amount is not None and amount.is_integer() and 0 <= amount < _COUNT_LIMIT else None


def number(value: Value) -> float | None:
    """A finite number, also where the producer wrote it as a string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = float(value)
    except ValueError:
        return None
    return amount if math.isfinite(amount) else None


def flag(value: Value) -> bool | None:
    """A boolean, also where the producer wrote it as a string."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def names(value: Value) -> list[str] | None:
    """A list of names; one name alone is a list of one."""
    items = value if isinstance(value, list) else [value]
    result = [text for text in map(name, items) if text is not None]
    return result or None


def level(value: Value) -> int | None:
    """An escalation level: 16 bits."""
    amount = count(value)
    return amount if amount is not None and amount < 1 << 16 else None


Coercion: TypeAlias = Callable[[Value], Any]
Table: TypeAlias = Mapping[str, tuple[str, Coercion]]
_NO_TABLE: Final[Table] = {}

# Two tables as one, by their identities; it keeps them, so that no other table gets the identity of either.
_Plan: TypeAlias = dict[str, tuple[str, Coercion, bool, bool]]
_PLANS: Final[dict[tuple[int, int], _Plan]] = {}
_PLANNED: Final[list[tuple[Table, Table]]] = []


def _plan(table: Table, spare: Table) -> _Plan:
    """{attribute: (column, coercion, whether that is ``name``, whether it is spare)}."""
    plan: _Plan = {key: (column, coerce, coerce is name, True) for key, (column, coerce) in spare.items()}
    plan.update((key, (column, coerce, coerce is name, False)) for key, (column, coerce) in table.items())
    _PLANNED.append((table, spare))
    _PLANS[id(table), id(spare)] = plan
    return plan


class Draft:
    """What ``normalise`` fills and a convention's ``apply`` completes.

    ``taken`` says under which content name an attribute's text went, so that it is stored once.
    ``approvals`` are what the record tells of a person's decisions: events of their own.
    """

    __slots__ = ("approvals", "columns", "content", "otlp", "record", "remarks", "taken")

    def __init__(self, record: Record) -> None:
        source = record.source
        self.record = record
        self.columns: EventColumns = source.columns.copy()
        self.content = Content(source.content)
        self.remarks: list[str] = source.remarks.copy()
        self.otlp = source.otlp + record.otlp
        self.taken: dict[str, str] = {}
        self.approvals: Sequence[Approval] = ()

    def fill(self, table: Table, spare: Table = _NO_TABLE) -> list[str]:
        """Set a column for each attribute that ``table`` names and whose value fits the column.

        ``spare`` names attributes that count only where ``table`` finds nothing for the column. Both are
        constants of their module. Gives the attributes that neither names.
        """
        columns: dict[str, Any] = self.columns  # type: ignore[assignment]  # tables name columns only; a test checks
        rest: list[str] = []
        rules = _PLANS.get((id(table), id(spare))) or _plan(table, spare)
        for key, value in self.record.attributes.items():
            rule = rules.get(key)
            if rule is None:
                rest.append(key)
                continue
            column, coerce, is_name, is_spare = rule
            if is_spare and columns.get(column):
                continue
            if is_name and type(value) is str and 0 < len(value) <= SHORT:
                columns[column] = value  # by far the most frequent, so without a call
                continue
            fitting = coerce(value)
            if fitting is not None:
                columns[column] = fitting
            elif isinstance(value, str) and value:
                self.remarks.append(f"unfit:{column}")
        return rest

    def fall_back(self, column: str, keys: Sequence[str]) -> None:
        """Set a column that is still empty from the first of ``keys`` that names something."""
        if self.columns.get(column):
            return
        for key in keys:
            text = name(self.record.attributes.get(key))
            if text is not None:
                self.columns[column] = text  # type: ignore[literal-required]  # as in fill
                return

    def take(self, content_name: str, key: str) -> None:
        """Make an attribute's value, as it came, the content ``content_name``."""
        value = self.record.attributes.get(key)
        if value is None or value == "" or content_name in self.content:
            return
        self.content[content_name] = value if isinstance(value, str) else format_typed(value)
        self.taken[key] = content_name

    def write(self, content_name: str, text: str) -> None:
        """Set assembled content. What is there already stays."""
        self.content.setdefault(content_name, text)

    def configure(self, settings: Sequence[tuple[str, str]]) -> None:
        """Set the stated configuration: (name, JSON value). A long or textual one stays in the attributes only."""
        kept = [(key, text) for key, text in settings if CLASSES[key] == PLAIN and not is_long(text)]
        if kept:
            self.columns["configuration"] = kept

    def remark(self, text: str) -> None:
        """Add a remark once."""
        if text not in self.remarks:
            self.remarks.append(text)

    def add(self, approval: Approval) -> None:
        """Add a person's decision. Of two with one key the first counts."""
        if all(known.key != approval.key for known in self.approvals):
            self.approvals = [*self.approvals, approval]
