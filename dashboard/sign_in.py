"""The door: what is asked of every request and every connection, and the page that asks for an access token.

Deny by default: without a session nothing answers but the routes that ``roles`` opens to everybody. The cookie holds a
random number and nothing else; a token is sent once, in a form, and is never part of a URL.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

import roles
import viewer
from sessions import LONGEST_NANO, NANO, Sessions, Throttle, cookie_name, is_https, session_id
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otel_audit.errors import ConfigError
from otel_audit.reports.access_tokens import AccessToken

HERE: Final = Path(__file__).parent
_LOG: Final = logging.getLogger("otel_audit.dashboard")
PATH: Final = "/sign-in"
_MAX_BODY: Final = 8192
_NEXT: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")  # a path here: no other host, no control characters
_NO_STORE: Final = {"Cache-Control": "no-store"}
_RECORDED: Final = "Signing in is recorded, and so is what you open and export."
_NOT_RECORDED: Final = "What you do here is not recorded: no receiver is known."
_SHUT: Final = "Nobody can sign in: the access tokens can not be read. The dashboard's own messages say why."


def where_to(here: str) -> str:
    """The address of the sign-in page that leads back ``here``, a path with its query."""
    return f"{PATH}?{urlencode({'next': here})}" if here not in {"", "/"} else PATH


def _is_own(headers: Headers) -> bool:
    """Whether a page of ours sent this, and not one elsewhere. SameSite alone lets other ports of a host pass."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


class SignIn:
    """Lets only those pass who are signed in, and tells the rest of a request who that is (``viewer.person``)."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app, self._sessions = app, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if roles.ROUTES.get(path) is roles.Open.EVERYBODY:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        is_page = path.strip("/") in roles.PAGES
        try:
            person = self._sessions.person(session_id(connection.headers))
        except ConfigError as exc:
            _LOG.error("%s", exc)
            await _refused(PlainTextResponse(_SHUT, 503, headers=_NO_STORE), scope, receive, send)
            return
        if person is None:
            here = path + (f"?{connection.url.query}" if connection.url.query else "")
            answer: Response = PlainTextResponse("Sign in first.", 401, headers=_NO_STORE)
            if is_page and scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}:
                answer = RedirectResponse(where_to(here), 303, headers=_NO_STORE)
            await _refused(answer, scope, receive, send)
            return
        if not _is_own(connection.headers) and (scope["type"] == "websocket" or scope["method"] not in {"GET", "HEAD"}):
            await _refused(PlainTextResponse("This starts on the dashboard's own pages.", 403), scope, receive, send)
            return

        async def not_stored(message: Message) -> None:
            # After signing out, Back must not bring a page out of the browser's store.
            if message["type"] == "http.response.start":
                kept = [each for each in message["headers"] if each[0].lower() != b"cache-control"]
                message["headers"] = [*kept, (b"cache-control", b"no-store")]
            await send(message)

        with viewer.looking(person):
            await self._app(scope, receive, not_stored if is_page else send)


async def _refused(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4401})  # before it is accepted: HTTP 403
        return
    await answer(scope, receive, send)


class Door:
    """The sign-in page: GET asks for a token, POST takes it."""

    def __init__(self, sessions: Sessions, throttle: Throttle) -> None:
        self._sessions, self._throttle = sessions, throttle

    async def endpoint(self, request: Request) -> Response:
        """Answer both."""
        if request.method == "POST":
            return await self._try(request)
        onward = _onward(request.query_params.get("next", ""))
        try:
            if self._sessions.person(session_id(request.headers)):
                return RedirectResponse(onward, 303, headers=_NO_STORE)
        except ConfigError as exc:
            _LOG.error("%s", exc)
            return _page(onward, _SHUT, 503)
        return _page(onward)

    async def _try(self, request: Request) -> Response:
        if not _is_own(request.headers):
            return PlainTextResponse("Sign in on the dashboard's own page.", 403)
        form = await _form(request)
        onward = _onward(form.get("next", ""))
        try:
            found = self._sessions.sign_in(form.get("token", "").strip())
        except ConfigError as exc:
            _LOG.error("%s", exc)
            return _page(onward, _SHUT, 503)
        if not isinstance(found, tuple):
            return await self._wrong(found, onward, request.client.host if request.client else "")
        new_id, person = found
        self._sessions.sign_out(session_id(request.headers))  # one browser, one session
        await run_in_threadpool(viewer.record, "SIGN_IN", "dashboard", "sign-in", actor=person.name, always=True)
        answer = RedirectResponse(onward, 303, headers=_NO_STORE)
        answer.set_cookie(
            cookie_name(request.headers),
            new_id,
            max_age=LONGEST_NANO // NANO,
            path="/",
            httponly=True,
            samesite="lax",  # strict would ask whoever follows a colleague's link to sign in again
            secure=is_https(request.headers) or request.url.scheme == "https",
        )
        return answer

    async def _wrong(self, token: AccessToken | None, onward: str, address: str) -> Response:
        seconds = self._throttle.wrong(address)
        if seconds:
            return _page(onward, f"Too many wrong tokens. Wait {seconds} s.", 429, {"Retry-After": str(seconds)})
        actor = token.name if token else "unknown"  # somebody still has a token that has ended: that is worth knowing
        await run_in_threadpool(
            viewer.record, "SIGN_IN", "dashboard", "sign-in", actor=actor, outcome="failure", always=True
        )
        return _page(onward, "This is no valid access token. It may have expired, or been revoked.", 403)


def _onward(wanted: str) -> str:
    return wanted if _NEXT.fullmatch(wanted) and not wanted.startswith(PATH) else "/"


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_BODY:
            raise HTTPException(413)
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in fields.items()}


def _page(onward: str, problem: str = "", status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    told = f'<p class="problem" id="problem" role="alert">{escape(problem)}</p>' if problem else ""
    described = ' aria-describedby="problem" aria-invalid="true"' if problem else ""
    page = (
        (HERE / "sign_in.html")
        .read_text(encoding="utf-8")
        .replace("<!--problem-->", told)
        .replace(" data-described", described)
        .replace("{recorded}", _RECORDED if viewer.recording() else _NOT_RECORDED)
        .replace("{next}", escape(onward))
    )
    return HTMLResponse(page, status, headers={**_NO_STORE, **(headers or {})})
