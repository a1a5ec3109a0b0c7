"""The dashboard's process: Streamlit as an ASGI app, beside it exports that stream, behind a door and strict headers.

python dashboard/server.py --data audit-data --port 8501
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib
import ipaddress
import re
import shlex
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
if str(HERE) not in sys.path:  # as a module of the installed package; as a script Python has done it
    sys.path.insert(0, str(HERE))

import deps  # noqa: E402 - found only after the line above
import exporting  # noqa: E402
import roles  # noqa: E402
import settings  # noqa: E402 - found only after the line above
import shell  # noqa: E402
import sign_in  # noqa: E402
import streamlit as st  # noqa: E402
import viewer  # noqa: E402 - found only after the line above
from sessions import Sessions, Throttle  # noqa: E402
from starlette.concurrency import run_in_threadpool  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import PlainTextResponse, Response  # noqa: E402
from starlette.routing import Route  # noqa: E402
from starlette.types import ASGIApp, Message, Receive, Scope, Send  # noqa: E402

from otel_audit.errors import ConfigError  # noqa: E402
from otel_audit.reports.access_tokens import TokenFile  # noqa: E402
from otel_audit.store.folder import DataFolder  # noqa: E402

_LOOPBACK: Final = "127.0.0.1"
_INLINE_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def content_security_policy(index_html: str) -> str:
    """The policy for Streamlit's page: nothing from elsewhere, no inline script but the page's own."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(index_html)
    ]
    return "; ".join(
        (
            "default-src 'self'",
            " ".join(("script-src 'self'", *hashes)),
            "style-src 'self' 'unsafe-inline'",  # Streamlit styles its elements at run time
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "frame-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "object-src 'none'",
        )
    )


class SecurityHeaders:
    """Adds the headers that keep the page to itself to every answer."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            # Not no-referrer: browsers would say "Origin: null" on our own forms, as any other page's.
            (b"referrer-policy", b"same-origin"),
            (b"x-frame-options", b"DENY"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its answer back with the headers."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, with_headers)


async def healthz(_request: Request) -> Response:
    """Whether this process answers. The store may still be unreachable: the pages say so."""
    return PlainTextResponse("ok")


def guarded(route: Route) -> Route:
    """The route, for those who have what ``roles.ROUTES`` says it asks for. One without a line there is a KeyError."""
    needed = roles.ROUTES[route.path]
    answer = route.endpoint

    async def endpoint(request: Request) -> Response:
        if needed is not roles.Open.EVERYBODY and not viewer.person().may(needed):
            await run_in_threadpool(viewer.record, "OPEN", route.path, "route", outcome="failure")
            return PlainTextResponse(f"Your access token does not let you {needed}.", 403)
        found: Response = await answer(request)
        return found

    return Route(route.path, endpoint, methods=sorted(route.methods or ()))


def build_app(hosts: Sequence[str] = (_LOOPBACK, "localhost"), sessions: Sessions | None = None) -> st.App:
    """The dashboard as an ASGI app that answers to these host names. Call ``deps.configure`` first.

    With ``sessions`` people have to sign in.
    """
    middleware = [
        Middleware(SecurityHeaders, policy=content_security_policy(shell.html())),
        # A page of a hostile name that resolves to this machine must not read from here (DNS rebinding).
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
    ]
    if sessions is not None:
        middleware.append(Middleware(sign_in.SignIn, sessions=sessions))
    return st.App(
        HERE / "app.py", routes=[*shell.routes(), *routes(sessions)], middleware=middleware, lifespan=_warmed_up
    )


@asynccontextmanager
async def _warmed_up(_app: object) -> AsyncIterator[None]:
    """Load what draws charts while the first viewer is on the way: it takes as long as all the rest of a first page."""
    loading = threading.Thread(target=importlib.import_module, args=("components.chart",), daemon=True)
    loading.start()
    yield


def routes(sessions: Sessions | None) -> list[Route]:
    """Every route that answers with something, behind its guard."""
    found = [Route("/healthz", healthz, methods=["GET"]), *(each.route() for each in exporting.DOWNLOADS)]
    if sessions is not None:
        found.append(Route(sign_in.PATH, sign_in.Door(sessions, Throttle()).endpoint, methods=["GET", "POST"]))
    return [guarded(each) for each in found]


def asks_for_tokens(host: str, chosen: str | None) -> bool:
    """Whether people sign in: as chosen, else wherever more than this machine can reach the address."""
    if chosen is not None:
        return chosen == "token"
    try:
        return not (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:  # another name, which may be any machine's
        return True


def main(argv: Sequence[str] | None = None) -> None:
    """Run the dashboard until it is told to stop."""
    parser = argparse.ArgumentParser(prog="otel-audit dashboard", description=__doc__)
    parser.add_argument("--data", type=Path, help="data folder")
    parser.add_argument("--url", help="ClickHouse server: http(s)://user:password@host:port/database")
    parser.add_argument("--host", default=_LOOPBACK, help="address to listen on (default: this machine only)")
    parser.add_argument(
        "--sign-in",
        choices=["none", "token"],
        help="none: whoever reaches it sees everything; token: with an access token (default beyond this machine)",
    )
    parser.add_argument("--tokens", type=Path, help="file of the access tokens (default: the data folder's)")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--otlp-endpoint", help="receiver that access is recorded at (default: the data folder's)")
    parser.add_argument("--anchor-dir", type=Path, help="folder with the anchored checkpoints")
    parser.add_argument("--allowed-host", action="append", default=[], help="further host name that browsers use")
    parser.add_argument(
        "--wait-for-receiver",
        action="store_true",
        help="never open the data folder here, a receiver does and serves it",
    )
    given = parser.parse_args(argv)
    if (given.data is None) == (given.url is None):
        parser.error("give either --data DIR or --url URL")
    sessions = None
    if asks_for_tokens(given.host, given.sign_in):
        tokens = given.tokens or (DataFolder(given.data).tokens_file if given.data else None)
        if tokens is None:
            parser.error("sign-in needs --tokens FILE, which `otel-audit token create --tokens FILE` writes")
        file = TokenFile(tokens)
        try:
            is_somebody = any(each.is_valid(time.time_ns()) for each in file.all())
        except ConfigError as exc:
            parser.error(str(exc))
        if not is_somebody:
            command = shlex.join(["otel-audit", "token", "create", "--tokens", str(tokens)])
            sys.stderr.write(f"Nobody can sign in yet. Make an access token: {command} --name NAME --role compliance\n")
        sessions = Sessions(file)
    deps.configure(
        settings.Settings(
            data=given.data,
            url=given.url,
            otlp_endpoint=given.otlp_endpoint,
            anchor_dir=given.anchor_dir,
            wait_for_receiver=given.wait_for_receiver,
            sessions=sessions,
        )
    )
    hosts = [_LOOPBACK, "localhost", *given.allowed_host]
    if given.host not in {_LOOPBACK, "0.0.0.0", "::"}:  # noqa: S104 - compared, not listened on
        hosts.append(given.host)
    # Streamlit finds its configuration beside the launcher, and parses no arguments of ours.
    sys.argv = [str(HERE / "server.py")]
    with suppress(KeyboardInterrupt):
        build_app(hosts, sessions).run(
            config={"server.address": given.host, "server.port": given.port, "server.allowedHosts": hosts}
        )


if __name__ == "__main__":
    main()
