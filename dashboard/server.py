"""The dashboard's process: Streamlit as an ASGI app, beside it exports that stream, behind headers that are strict.

python dashboard/server.py --data audit-data --port 8501
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import ipaddress
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
if str(HERE) not in sys.path:  # as a module of the installed package; as a script Python has done it
    sys.path.insert(0, str(HERE))

import deps  # noqa: E402 - found only after the line above
import exporting  # noqa: E402
import streamlit as st  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import PlainTextResponse, Response  # noqa: E402
from starlette.routing import Route  # noqa: E402
from starlette.types import ASGIApp, Message, Receive, Scope, Send  # noqa: E402

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
            (b"referrer-policy", b"no-referrer"),
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


def build_app(hosts: Sequence[str] = (_LOOPBACK, "localhost")) -> st.App:
    """The dashboard as an ASGI app that answers to these host names. Call ``deps.configure`` first."""
    index = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    routes = [
        Route("/healthz", healthz),
        *(download.route() for download in exporting.DOWNLOADS),
    ]
    middleware = [
        Middleware(SecurityHeaders, policy=content_security_policy(index)),
        # A page of a hostile name that resolves to this machine must not read from here (DNS rebinding).
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
    ]
    return st.App(HERE / "app.py", routes=routes, middleware=middleware)


def refusal(host: str, *, without_sign_in: bool) -> str:
    """Why the dashboard does not listen on this address; empty when it does: whoever reaches it sees everything."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name, which may be any machine's
        loopback = False
    if loopback or without_sign_in:
        return ""
    return (
        f"the dashboard has no sign-in, and --host {host} shows it to more than this machine. "
        "Listen on 127.0.0.1, or say --without-sign-in when a proxy with sign-in stands before it"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the dashboard until it is told to stop."""
    parser = argparse.ArgumentParser(prog="otel-audit dashboard", description=__doc__)
    parser.add_argument("--data", type=Path, help="data folder")
    parser.add_argument("--url", help="ClickHouse server: http(s)://user:password@host:port/database")
    parser.add_argument("--host", default=_LOOPBACK, help="address to listen on (default: this machine only)")
    parser.add_argument("--without-sign-in", action="store_true", help="listen beyond this machine all the same")
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
    if refused := refusal(given.host, without_sign_in=given.without_sign_in):
        parser.error(refused)
    deps.configure(
        deps.Settings(
            data=given.data,
            url=given.url,
            otlp_endpoint=given.otlp_endpoint,
            anchor_dir=given.anchor_dir,
            wait_for_receiver=given.wait_for_receiver,
        )
    )
    hosts = [_LOOPBACK, "localhost", *given.allowed_host]
    if given.host not in {_LOOPBACK, "0.0.0.0", "::"}:  # noqa: S104 - compared, not listened on
        hosts.append(given.host)
    # Streamlit finds its configuration beside the launcher, and parses no arguments of ours.
    sys.argv = [str(HERE / "server.py")]
    with suppress(KeyboardInterrupt):
        build_app(hosts).run(
            config={"server.address": given.host, "server.port": given.port, "server.allowedHosts": hosts}
        )


if __name__ == "__main__":
    main()
