"""The dashboard's process: Streamlit as an ASGI app, beside it exports that stream, behind headers that are strict.

python dashboard/server.py --data audit-data --port 8501
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

HERE: Final = Path(__file__).resolve().parent
if str(HERE) not in sys.path:  # as a module of the installed package; as a script Python has done it
    sys.path.insert(0, str(HERE))

import deps  # noqa: E402 - found only after the line above
import gather  # noqa: E402
import links  # noqa: E402
import measures  # noqa: E402
import streamlit as st  # noqa: E402
from starlette.concurrency import run_in_threadpool  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import PlainTextResponse, Response, StreamingResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402
from starlette.types import ASGIApp, Message, Receive, Scope, Send  # noqa: E402

from otel_audit.errors import AuditError, ConfigError, MalformedInput  # noqa: E402
from otel_audit.model import Filter  # noqa: E402
from otel_audit.reports.export import Format, chunks  # noqa: E402

_LOOPBACK: Final = "127.0.0.1"
_MEDIA_TYPES: Final = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.JSONL: "application/x-ndjson",
    Format.PARQUET: "application/vnd.apache.parquet",
}
_INLINE_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_PIECE_BYTES: Final = 1 << 18
_MAX_WHY: Final = 2000  # characters of a stated purpose
_MAX_HEADER: Final = 4000  # characters of the filter in a header; the file itself has all of it


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


async def export(request: Request) -> Response:
    """Stream exactly the entries of the filter in the URL, after recording who exports what, and why."""
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return PlainTextResponse("Exports start on the dashboard's own pages.", 403)
    if request.path_params["file_format"] not in set(Format):
        return PlainTextResponse(f"Possible formats: {', '.join(Format)}.", 404)
    file_format = Format(request.path_params["file_format"])
    why = request.query_params.get("why", "").strip()
    if not why or len(why) > _MAX_WHY:
        return PlainTextResponse(f"Say why you are exporting, in at most {_MAX_WHY} characters (why=...).", 400)
    try:
        where = links.parse_filter(request.query_params.multi_items(), ignored=("rows", "why"))
    except MalformedInput as exc:
        return PlainTextResponse(str(exc), 400)
    try:
        rows, body = await run_in_threadpool(_begin, file_format, where)
    except AuditError as exc:
        return PlainTextResponse(f"The store is not reachable, your data is safe. {exc}", 503)
    if request.method == "GET":
        target = where.task_id or f"events.{file_format}"
        await run_in_threadpool(_record, "task" if where.task_id else "events", target, where, why, rows)
    headers = {
        "Content-Disposition": f'attachment; filename="audit-events.{file_format}"',
        "Cache-Control": "no-store",
        "X-Row-Count": str(rows),
    }
    return StreamingResponse(body, media_type=_MEDIA_TYPES[file_format], headers=headers)


async def export_figures(request: Request) -> Response:
    """Send the figures of a page as CSV, made again from the filter in the URL, after recording who, what and why."""
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return PlainTextResponse("Exports start on the dashboard's own pages.", 403)
    maker = gather.FIGURES.get(request.path_params["page"])
    if maker is None:
        return PlainTextResponse(f"Possible figures: {', '.join(gather.FIGURES)}.", 404)
    why = request.query_params.get("why", "").strip()
    if not why or len(why) > _MAX_WHY:
        return PlainTextResponse(f"Say why you are exporting, in at most {_MAX_WHY} characters (why=...).", 400)
    try:
        where = links.parse_filter(request.query_params.multi_items(), ignored=("rows", "why", "zone"))
        zone = ZoneInfo(request.query_params.get("zone", "UTC")).key
    except (MalformedInput, ValueError, OSError, KeyError) as exc:
        return PlainTextResponse(f"This can not be exported: {exc}", 400)
    try:
        figures = await run_in_threadpool(maker, where, zone)
    except ConfigError as exc:
        return PlainTextResponse(str(exc), 400)
    except AuditError as exc:
        return PlainTextResponse(f"The store is not reachable, your data is safe. {exc}", 503)
    said = "; ".join(f"{name}={value}" for name, value in links.filter_query(where)) or "everything"
    if request.method == "GET":
        target = f"{request.path_params['page']}.csv"
        await run_in_threadpool(_record, "figures", target, where, why, len(figures))
    headers = {
        "Content-Disposition": f'attachment; filename="audit-{request.path_params["page"]}.csv"',
        "Cache-Control": "no-store",
        "X-Row-Count": str(len(figures)),
        "X-Filter": said.encode("ascii", "backslashreplace").decode()[:_MAX_HEADER],
    }
    return Response(measures.as_csv(figures, where, said), media_type=_MEDIA_TYPES[Format.CSV], headers=headers)


def _begin(file_format: Format, where: Filter) -> tuple[int, Iterator[bytes]]:
    """Count the rows and read the first piece, so that a store that is down is told before anything is sent."""
    reader = deps.reader()
    rows = reader.count(where).events
    pieces = chunks(file_format, reader.stream(where), bom=True)
    first = next(pieces, b"")

    def body() -> Iterator[bytes]:
        yield first
        yield from pieces

    return rows, body()


def _record(target_type: str, target: str, where: Filter, why: str, rows: int) -> None:
    asked = "; ".join(f"{name}={value}" for name, value in links.filter_query(where))
    deps.record(
        "EXPORT",
        target,
        target_type,
        task_id=where.task_id,
        filter_text=asked or "everything",
        purpose=why,
        row_count=rows,
        always=True,
    )


async def bundle(request: Request) -> Response:
    """Send the evidence bundle of the filter in the URL, after recording who takes it, and why."""
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return PlainTextResponse("Bundles start on the dashboard's own pages.", 403)
    why = request.query_params.get("why", "").strip()
    if not why or len(why) > _MAX_WHY:
        return PlainTextResponse(f"Say why you take it, in at most {_MAX_WHY} characters (why=...).", 400)
    try:
        where = links.parse_filter(request.query_params.multi_items(), ignored=("rows", "why"))
        file, made = await run_in_threadpool(deps.bundle, where, why)
    except MalformedInput as exc:
        return PlainTextResponse(str(exc), 400)
    except ConfigError as exc:  # nothing of it is under a checkpoint yet
        return PlainTextResponse(str(exc), 409)
    except AuditError as exc:
        return PlainTextResponse(f"The store is not reachable, your data is safe. {exc}", 503)
    await run_in_threadpool(_record, "bundle", where.task_id or "evidence.zip", where, why, made.entries)

    def body() -> Iterator[bytes]:
        with file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    headers = {"Content-Disposition": 'attachment; filename="evidence.zip"', "Cache-Control": "no-store"}
    return StreamingResponse(body(), media_type="application/zip", headers=headers)


def build_app(hosts: Sequence[str] = (_LOOPBACK, "localhost")) -> st.App:
    """The dashboard as an ASGI app that answers to these host names. Call ``deps.configure`` first."""
    index = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    routes = [
        Route("/healthz", healthz),
        Route("/export/events.{file_format}", export),
        Route("/export/figures/{page}.csv", export_figures),
        Route("/export/evidence.zip", bundle, methods=["GET"]),
    ]
    middleware = [
        Middleware(SecurityHeaders, policy=content_security_policy(index)),
        # A page of a hostile name that resolves to this machine must not read from here (DNS rebinding).
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
    ]
    return st.App(HERE / "app.py", routes=routes, middleware=middleware)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the dashboard until it is told to stop."""
    parser = argparse.ArgumentParser(prog="otel-audit dashboard", description=__doc__)
    parser.add_argument("--data", type=Path, help="data folder")
    parser.add_argument("--url", help="ClickHouse server: http(s)://user:password@host:port/database")
    parser.add_argument("--host", default=_LOOPBACK, help="address to listen on (default: this machine only)")
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
