"""Who is signed in. A browser holds a random number, everything else is here, and a restart signs everybody out."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from roles import Person
from starlette.requests import cookie_parser

from otel_audit.errors import AuditError
from otel_audit.reports.access_tokens import AccessToken, TokenFile

NANO: Final = 10**9
IDLE_NANO: Final = 3600 * NANO  # without a click
LONGEST_NANO: Final = 12 * 3600 * NANO
_ID_BYTES: Final = 32
MAX_WRONG: Final = 10  # of one address within _WRONG_WITHIN
_WRONG_WITHIN: Final = 60.0  # seconds
_MOST_ADDRESSES: Final = 10_000


_COOKIE: Final = "otel_audit_session"


def is_https(headers: Mapping[str, str]) -> bool:
    """Whether a browser came by https, through the proxy that ends it."""
    # Whoever invents this header only makes a cookie of their own that their browser will not send.
    return headers.get("x-forwarded-proto", "").strip().lower() == "https"


def cookie_name(headers: Mapping[str, str]) -> str:
    """The name of the cookie that holds the session id."""
    # __Host-: a browser takes it from https alone, and from this very host, not from one beside it (RFC 6265bis).
    return f"__Host-{_COOKIE}" if is_https(headers) else _COOKIE


def session_id(headers: Mapping[str, str]) -> str:
    """The session id that a browser brings; empty without one."""
    return cookie_parser(headers.get("cookie", "")).get(cookie_name(headers), "")


class NotSignedIn(AuditError):
    """Nobody is signed in, or not any more. Sign in."""


@dataclass(slots=True)
class _Session:
    token_id: str
    number: str
    began_unix_nano: int
    used_unix_nano: int


class Sessions:
    """The sessions of one dashboard. Safe to share between threads.

    A session ends after an hour without use, twelve hours after it began, when somebody signs out, and with its token.
    """

    def __init__(self, tokens: TokenFile, clock: Callable[[], int] = time.time_ns) -> None:
        self._tokens, self._clock = tokens, clock
        self._lock = threading.Lock()  # guards _sessions and what is in them
        self._sessions: dict[bytes, _Session] = {}

    def sign_in(self, secret: str) -> tuple[str, Person] | AccessToken | None:
        """Begin a session for the holder of a token: (session id, who it is).

        Else the token that can not be used any more, or None for what is no token. Raises ConfigError when the file of
        tokens can not be read.
        """
        now, token = self._clock(), self._tokens.of_secret(secret)
        if token is None or not token.is_valid(now):
            return token
        session_id = secrets.token_urlsafe(_ID_BYTES)
        session = _Session(token.id, secrets.token_hex(8), now, now)
        with self._lock:
            for key in [key for key, each in self._sessions.items() if not _is_alive(each, now)]:
                del self._sessions[key]
            self._sessions[_key(session_id)] = session
        return session_id, _person(token, session)

    def person(self, session_id: str) -> Person | None:
        """Who is signed in by this session id, and keep it alive; None when nobody is, or not any more.

        Raises ConfigError when the file of tokens can not be read: then nobody is let in.
        """
        now, key = self._clock(), _key(session_id)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            if not _is_alive(session, now):
                del self._sessions[key]
                return None
        token = self._tokens.by_id(session.token_id)
        with self._lock:
            if token is None or not token.is_valid(now):
                self._sessions.pop(key, None)
                return None
            session.used_unix_nano = max(now, session.used_unix_nano)
        return _person(token, session)

    def sign_out(self, session_id: str) -> None:
        """End a session: its id is worth nothing from now on."""
        with self._lock:
            self._sessions.pop(_key(session_id), None)


class Throttle:
    """Counts wrong tokens by address. Safe to share between threads.

    A right token is never refused: else ten wrong ones would lock out everybody who comes through the same proxy. No
    number of tries a second finds one of 2^256.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # guards _wrong
        self._wrong: dict[str, deque[float]] = {}

    def wrong(self, address: str) -> int:
        """Note a wrong token. Returns 0, or for how many seconds no more of this address are looked into."""
        now = self._clock()
        with self._lock:
            if len(self._wrong) >= _MOST_ADDRESSES and address not in self._wrong:
                address = ""  # the rest shares one place, so that memory stays bounded
            times = self._wrong.setdefault(address, deque(maxlen=MAX_WRONG))
            while times and now - times[0] > _WRONG_WITHIN:
                times.popleft()
            if len(times) == MAX_WRONG:
                return max(1, round(_WRONG_WITHIN - (now - times[0])))
            times.append(now)
            for other in [each for each, when in self._wrong.items() if now - when[-1] > _WRONG_WITHIN]:
                del self._wrong[other]
            return 0


def _is_alive(session: _Session, now: int) -> bool:
    return now - session.used_unix_nano < IDLE_NANO and now - session.began_unix_nano < LONGEST_NANO


def _person(token: AccessToken, session: _Session) -> Person:
    return Person(token.name, token.role, token.scope, session.number)


def _key(session_id: str) -> bytes:
    """What a session is found by: neither the memory nor the time of a look-up tells an id."""
    return hashlib.sha256(session_id.encode()).digest()
