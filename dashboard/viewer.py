"""Who is looking, what they may do, and the record of what they looked at.

Pages call these through the module, so that a test can replace them. All functions may be called from any thread.
"""

from __future__ import annotations

import getpass
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import settings
import streamlit as st
from roles import Action, Person
from sessions import NotSignedIn, session_id
from streamlit.runtime.scriptrunner import get_script_run_ctx

import otel_audit
from otel_audit.errors import ConfigError
from otel_audit.model import Sight

SERVICE_NAME: Final = "otel-audit-dashboard"
_SAME_VIEW_SECONDS: Final = 600.0  # Streamlit runs a page again at each click: one look is one event

_looking: ContextVar[Person | None] = ContextVar("looking", default=None)  # who sent the request that is answered
_lock = threading.Lock()  # guards the two below
_recording_to: str | None = None
_recorded: dict[tuple[str, ...], float] = {}


def forget() -> None:
    """Forget what was recorded before, and where: the settings have changed."""
    global _recording_to  # noqa: PLW0603 - one exporter a process
    with _lock:
        _recording_to = None
        _recorded.clear()


@contextmanager
def looking(person: Person) -> Iterator[None]:
    """What runs within is done by this person, whom the middleware has found signed in."""
    token = _looking.set(person)
    try:
        yield
    finally:
        _looking.reset(token)


def person() -> Person:
    """Who is looking, asked anew each time: a session may have ended since. Raises NotSignedIn.

    Without a sign-in it is the user of this machine's account.
    """
    sessions = settings.given().sessions
    if sessions is None:
        return Person(_account())
    # A page runs for as long as its connection lasts, so that it is asked by what the connection began with.
    is_page = get_script_run_ctx(suppress_warning=True) is not None
    found = sessions.person(session_id(st.context.headers)) if is_page else _looking.get()
    if found is None:
        raise NotSignedIn("Nobody is signed in, or not any more.")
    return found


def has_sign_in() -> bool:
    """Whether people have to sign in here."""
    return settings.given().sessions is not None


def sign_out() -> None:
    """End the session of whoever looks at this page, on every tab."""
    sessions = settings.given().sessions
    if sessions is not None:
        record("SIGN_OUT", "dashboard", "sign-in", always=True)
        sessions.sign_out(session_id(st.context.headers))


def name() -> str:
    """The name of whoever is looking, as it is recorded. Raises NotSignedIn."""
    return person().name


def sight() -> Sight:
    """What the viewer may see: part of the key of whatever is kept between runs. Raises NotSignedIn."""
    return person().sight


def may(action: Action) -> bool:
    """Whether the viewer may do this. Raises NotSignedIn."""
    return person().may(action)


def need(action: Action) -> None:
    """Refuse with ConfigError what the viewer may not do."""
    if not may(action):
        raise ConfigError(f"your access token does not let you {action}")


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no account of that number, as in some containers
        return "unknown"


def recording() -> bool:
    """Whether access is recorded: whether a receiver is known that takes the events."""
    return settings.endpoint() is not None


def record(
    action: str,
    target: str,
    target_type: str,
    *,
    task_id: str = "",
    filter_text: str | Mapping[str, Any] | None = None,
    purpose: str = "",
    row_count: int | None = None,
    outcome: str = "success",
    key: str = "",
    actor: str = "",
    always: bool = False,
) -> None:
    """Record that the viewer did ``action`` to ``target``, once in ten minutes unless ``always``.

    ``key`` tells apart what has no target, such as two searches. ``actor`` is for whoever is not signed in (yet).
    """
    global _recording_to  # noqa: PLW0603 - the exporter is set up once a process
    receiver = settings.endpoint()
    if receiver is None:
        return
    actor, now = actor or name(), time.monotonic()
    with _lock:
        for old in [old for old, then in _recorded.items() if now - then > _SAME_VIEW_SECONDS]:
            del _recorded[old]
        same = (actor, action, target_type, target, key, outcome)
        if same in _recorded and not always:
            return
        _recorded[same] = now
        if _recording_to is None:
            otel_audit.configure(service_name=SERVICE_NAME, endpoint=receiver)
            _recording_to = receiver
    # With the task's id the access is part of the task's own story; joining one does not begin it.
    arguments: dict[str, Any] = {
        "actor": actor,
        "target": target or None,
        "target_type": target_type,
        "purpose": purpose or None,
        "filter": filter_text or None,
        "row_count": row_count,
        "outcome": outcome,
    }
    if task_id:
        with otel_audit.task(task_id, join=True):
            otel_audit.record_access(action, **arguments)
    else:
        otel_audit.record_access(action, **arguments)
