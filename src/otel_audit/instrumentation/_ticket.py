"""A review that is opened here and decided elsewhere: what has to travel in between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from otel_audit.errors import MalformedInput


@dataclass(frozen=True, slots=True)
class Ticket:
    """An open review. Put it into a session, a queue or a hidden form field, and finish it in any process.

    ``str(ticket)`` and ``Ticket.parse`` turn it into text and back, ``to_dict`` and ``from_dict`` into JSON values.

    ``opened_unix_nano`` is when the reviewer opened it, in nanoseconds since 1970; ``queue_wait_seconds`` how long
    it waited before that, where known; ``traceparent`` the trace it was opened in (W3C Trace Context).
    """

    task_id: str
    reviewer: str
    review_id: str
    opened_unix_nano: int
    task_kind: str = ""
    subject_ref: str = ""
    queue_wait_seconds: float | None = None
    traceparent: str = ""

    def to_dict(self) -> dict[str, str | int | float | None]:
        """The ticket as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Ticket:
        """The ticket that ``to_dict`` gave. Raises MalformedInput for a field that is missing, unknown or mistyped."""
        types: dict[str, tuple[type, ...]] = {
            "opened_unix_nano": (int,),
            "queue_wait_seconds": (int, float, type(None)),
        }
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(names)):
            raise MalformedInput(f"ticket: unknown field {unknown[0]!r}; pass what to_dict() gave")
        for name, value in values.items():
            if not isinstance(value, types.get(name, (str,))):
                raise MalformedInput(f"ticket: field {name!r} is a {type(value).__name__}; pass what to_dict() gave")
        try:
            return cls(**values)
        except TypeError as exc:
            raise MalformedInput(f"ticket: {exc}; pass what to_dict() gave") from exc

    def __str__(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def parse(cls, ticket: str) -> Ticket:
        """The ticket that ``str`` gave. Raises MalformedInput when it is not one."""
        try:
            values = json.loads(ticket)
        except ValueError as exc:
            raise MalformedInput(f"ticket: not JSON ({exc}); pass what str(ticket) gave") from exc
        if not isinstance(values, dict):
            raise MalformedInput(f"ticket: a JSON {type(values).__name__}, expected an object")
        return cls.from_dict(values)

    @classmethod
    def of(cls, ticket: Ticket | Mapping[str, Any] | str) -> Ticket:
        """The ticket, in whichever form it travelled. Raises MalformedInput when it is not one."""
        if isinstance(ticket, Ticket):
            return ticket
        return cls.parse(ticket) if isinstance(ticket, str) else cls.from_dict(ticket)
