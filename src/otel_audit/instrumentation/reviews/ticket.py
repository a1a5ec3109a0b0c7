"""A review that is opened here and decided elsewhere: what has to travel in between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from otel_audit.errors import MalformedInput
from otel_audit.instrumentation._context import text

_CHARACTERS: Final = 65_536  # more is no ticket of ours, and would be sent on as attributes
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "opened_unix_nano": (int,),
    "queue_wait_seconds": (int, float, type(None)),
    "expires_unix_nano": (int, type(None)),
}
_ALWAYS: Final = 8  # fields that to_dict always gives, as every release knows them; later ones only when they are set


@dataclass(frozen=True, slots=True)
class Ticket:
    """An open review. Put it into a session, a queue or a hidden form field, and finish it in any process.

    ``str(ticket)`` and ``Ticket.parse`` turn it into text and back, ``to_dict`` and ``from_dict`` into JSON values.
    It is neither secret nor signed: what a browser gives back is what the browser says (``finish_review`` takes the
    ``reviewer`` that your login knows).

    ``opened_unix_nano`` is when the reviewer opened it, in nanoseconds since 1970; ``queue_wait_seconds`` how long
    it waited before that, where known; ``traceparent`` the trace it was opened in (W3C Trace Context);
    ``second_opinion_of`` the id of another review, ``ai_call`` what is reviewed (both as ``review`` takes them), and
    ``expires_unix_nano`` when it times out, where it does.
    """

    task_id: str
    reviewer: str
    review_id: str
    opened_unix_nano: int
    task_kind: str = ""
    subject_ref: str = ""
    queue_wait_seconds: float | None = None
    traceparent: str = ""
    second_opinion_of: str = ""
    ai_call: str = ""
    expires_unix_nano: int | None = None

    def is_expired(self, unix_nano: int) -> bool:
        """Whether its time is over at ``unix_nano``, such as ``time.time_ns()``."""
        return self.expires_unix_nano is not None and unix_nano >= self.expires_unix_nano

    def to_dict(self) -> dict[str, str | int | float | None]:
        """The ticket as JSON values."""
        named = [(field, getattr(self, field.name)) for field in fields(self)]
        return {f.name: value for place, (f, value) in enumerate(named) if place < _ALWAYS or value != f.default}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Ticket:
        """The ticket that ``to_dict`` gave; fields that only a later release knows are left out.

        Raises MalformedInput for a field that is missing or mistyped.
        """
        names = {field.name for field in fields(cls)}
        known: dict[str, Any] = {name: value for name, value in values.items() if name in names}
        for name, value in known.items():
            if not isinstance(value, _TYPES.get(name, (str,))) or isinstance(value, bool):
                raise MalformedInput(f"ticket: field {name!r} is a {type(value).__name__}; pass what to_dict() gave")
            if isinstance(value, str):
                known[name] = text(value)
        try:
            return cls(**known)
        except TypeError as exc:
            raise MalformedInput(f"ticket: {exc}; pass what to_dict() gave") from exc

    def __str__(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def parse(cls, ticket: str) -> Ticket:
        """The ticket that ``str`` gave. Raises MalformedInput when it is not one."""
        if len(ticket) > _CHARACTERS:
            raise MalformedInput(f"ticket: {len(ticket)} characters, limit {_CHARACTERS}; pass what str(ticket) gave")
        try:
            values = json.loads(ticket)
        except (ValueError, RecursionError) as exc:
            raise MalformedInput(f"ticket: not JSON ({exc}); pass what str(ticket) gave") from exc
        if not isinstance(values, dict):
            raise MalformedInput(f"ticket: a JSON {type(values).__name__}, expected an object")
        return cls.from_dict(values)

    @classmethod
    def of(cls, ticket: Ticket | Mapping[str, Any] | str) -> Ticket:
        """The ticket, in whichever form it travelled. Raises MalformedInput when it is not one."""
        if isinstance(ticket, Ticket):
            return ticket
        if isinstance(ticket, str):
            return cls.parse(ticket)
        if isinstance(ticket, Mapping):
            return cls.from_dict(ticket)
        raise MalformedInput(f"ticket: a {type(ticket).__name__}; pass a Ticket, or what str() or to_dict() gave")
