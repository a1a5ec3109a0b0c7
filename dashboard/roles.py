"""Who may see what: every page, every route and every action, and the roles that have it. Pure.

This is the one place. A page or a route without a line here can not be opened by anybody, and a test fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from otel_audit.model import Filter, Sight
from otel_audit.reports.access_tokens import Role


class Action(StrEnum):
    """What one can do on the dashboard besides opening a page."""

    READ_TEXTS = "read texts"  # prompts, answers, reasons, and the attributes in which texts may be
    EXPORT_EVENTS = "export events"
    EXPORT_FIGURES = "export figures"
    BUNDLE = "make evidence bundles"
    REPORT = "make reports"
    VERIFY = "verify"
    SIGN_LOG_REVIEW = "sign log reviews"
    SET_PRICES = "set prices"


class Open(StrEnum):
    """What a route asks for that is open to more than a role."""

    EVERYBODY = "everybody"  # also without a sign-in: it shows nothing of the record
    SIGNED_IN = "signed in"


_C, _E, _P, _A = Role.COMPLIANCE, Role.ENGINEER, Role.PRODUCT, Role.AUDITOR
_ALL: Final = frozenset(Role)

# By the path in the URL. Everybody may open the first page, because everybody arrives there.
PAGES: Final[Mapping[str, frozenset[Role]]] = {
    "": _ALL,
    "task": _ALL,
    "compare": _ALL,
    "trace": frozenset({_C, _E}),
    "reviewers": frozenset({_C, _P, _A}),
    "usage": frozenset({_C, _E, _P}),
    "integrity": frozenset({_C, _E, _A}),
    "reports": frozenset({_C, _A}),
    "log-review": frozenset({_C, _A}),
    "access": frozenset({_C, _A}),
}

ACTIONS: Final[Mapping[Action, frozenset[Role]]] = {
    Action.READ_TEXTS: frozenset({_C, _E, _A}),
    Action.EXPORT_EVENTS: frozenset({_C, _E, _A}),
    Action.EXPORT_FIGURES: _ALL,
    Action.BUNDLE: frozenset({_C, _A}),
    Action.REPORT: frozenset({_C, _A}),
    Action.VERIFY: frozenset({_C, _E, _A}),
    Action.SIGN_LOG_REVIEW: frozenset({_C}),
    Action.SET_PRICES: frozenset({_C, _E, _P}),
}

# By the path as it is registered.
ROUTES: Final[Mapping[str, Action | Open]] = {
    "/healthz": Open.EVERYBODY,
    "/sign-in": Open.EVERYBODY,
    "/export/events.{file_format}.zip": Action.EXPORT_EVENTS,
    "/export/events.{file_format}": Action.EXPORT_EVENTS,
    "/export/figures/{page}.csv": Action.EXPORT_FIGURES,
    "/export/report/{standard}.zip": Action.REPORT,
    "/export/evidence.zip": Action.BUNDLE,
}

# What counts over all of the record, also over entries that are not listed: nobody has it whose token has a scope.
WHOLE_PAGES: Final = frozenset({"reviewers", "usage", "reports", "log-review", "access"})
WHOLE_ACTIONS: Final = frozenset(
    {Action.EXPORT_FIGURES, Action.BUNDLE, Action.REPORT, Action.SIGN_LOG_REVIEW, Action.SET_PRICES}
)

_EVERYTHING: Final = Filter()

ROLE_WORDS: Final[Mapping[Role, str]] = {
    _C: "compliance",
    _E: "engineer",
    _P: "product team",
    _A: "auditor",
}


@dataclass(frozen=True, slots=True)
class Person:
    """Who is looking. Without a role: whoever uses this computer, where nobody signs in; they may do everything.

    ``sign_in`` tells one sign-in of a person from the next. It is no secret.
    """

    name: str
    role: Role | None = None
    scope: Filter = _EVERYTHING
    sign_in: str = ""

    @property
    def sees_whole(self) -> bool:
        """Whether all of the record can be seen, not a part of it."""
        return self.scope == _EVERYTHING

    @property
    def sight(self) -> Sight:
        """What of the record they see, for a reader and for the key of whatever is kept."""
        return Sight(self.scope, texts=self.may(Action.READ_TEXTS))

    def may_open(self, path: str) -> bool:
        """Whether they may open the page with this path."""
        return self._has(PAGES.get(path, frozenset()), whole=path in WHOLE_PAGES)

    def may(self, what: Action | Open) -> bool:
        """Whether they, who are signed in, may do this."""
        return isinstance(what, Open) or self._has(ACTIONS[what], whole=what in WHOLE_ACTIONS)

    def _has(self, roles: frozenset[Role], *, whole: bool) -> bool:
        return self.role is None or (self.role in roles and (self.sees_whole or not whole))

    def why_not(self, path: str) -> str:
        """Why they may not open a page, in a sentence."""
        if self.role is None or self.role in PAGES.get(path, frozenset()):
            return "It counts over all of the record, and your access token shows a part of it."
        return f"It is not for the role of your access token: {ROLE_WORDS[self.role]}."
