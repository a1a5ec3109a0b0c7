"""What can be taken out of the dashboard, all in one shape: parse, refuse, make, record, send.

A new download is one ``Download`` more in ``DOWNLOADS``; what is asked of each of them is asked in ``_answer`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

import controls
import deps
import gather
import links
import measures
import reporting
import viewer
from formats import exact
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from otel_audit.errors import AuditError, ConfigError, MalformedInput
from otel_audit.model import Filter
from otel_audit.reports.compliance.standard import STANDARDS
from otel_audit.reports.export import Format, chunks, needs_payload, needs_texts, parse_columns
from otel_audit.reports.packed import Counted, packed

_MEDIA_TYPES: Final = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.JSONL: "application/x-ndjson",
    Format.PARQUET: "application/vnd.apache.parquet",
}
_PIECE_BYTES: Final = 1 << 18
_MAX_WHY: Final = 2000  # characters of a stated purpose
_MAX_HEADER: Final = 4000  # characters of the filter in a header; the file itself has all of it


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: a filter, why, and what is this download's own in the path and the query."""

    where: Filter
    why: str
    path: Mapping[str, str]
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sending:
    """What goes out, and as what it is recorded. ``body`` is read once, after the record."""

    body: bytes | Iterable[bytes]
    rows: int
    target_type: str
    target: str
    filename: str
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Download:
    """One kind of download: where it is, and how it is made.

    ``make`` runs in a thread and raises MalformedInput (400), ConfigError (``config_status``) or AuditError (503)
    before anything is sent. ``names`` are the parameters of the path with the values they may have; ``own`` are the
    parameters of the query that are not of the filter.
    """

    path: str
    make: Callable[[Asked], Sending]
    names: Mapping[str, Iterable[str]] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    config_status: int = 400

    def route(self) -> Route:
        """The route that answers with this download."""

        async def endpoint(request: Request) -> Response:
            return await _answer(self, request)

        return Route(self.path, endpoint, methods=["GET"])


async def _answer(download: Download, request: Request) -> Response:
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return PlainTextResponse("Exports start on the dashboard's own pages.", 403)
    for name, possible in download.names.items():
        if request.path_params[name] not in set(possible):
            return PlainTextResponse(f"Possible here: {', '.join(possible)}.", 404)
    why = request.query_params.get("why", "").strip()
    if not why or len(why) > _MAX_WHY:
        return PlainTextResponse(f"Say why you are exporting, in at most {_MAX_WHY} characters (why=...).", 400)
    try:
        where = links.parse_filter(request.query_params.multi_items(), ignored=("rows", "why", *download.own))
        asked = Asked(where, why, request.path_params, request.query_params)
        sending = await run_in_threadpool(download.make, asked)
    except MalformedInput as exc:
        return PlainTextResponse(str(exc), 400)
    except ConfigError as exc:
        return PlainTextResponse(str(exc), download.config_status)
    except AuditError as exc:
        return PlainTextResponse(f"The store is not reachable, your data is safe. {exc}\n{deps.what_to_do()}", 503)
    if request.method == "GET":  # a HEAD takes nothing out
        await run_in_threadpool(_record, asked, sending)
    headers = {
        "Content-Disposition": f'attachment; filename="{sending.filename}"',
        "Cache-Control": "no-store",
        "X-Row-Count": str(sending.rows),
        **sending.headers,
    }
    if isinstance(sending.body, bytes):
        return Response(sending.body, media_type=sending.media_type, headers=headers)
    return StreamingResponse(sending.body, media_type=sending.media_type, headers=headers)


def _record(asked: Asked, sending: Sending) -> None:
    viewer.record(
        "EXPORT",
        sending.target,
        sending.target_type,
        task_id=asked.where.task_id,
        filter_text=_said(asked.where),
        purpose=asked.why,
        row_count=sending.rows,
        always=True,
    )


def _said(where: Filter) -> str:
    return "; ".join(f"{name}={value}" for name, value in links.filter_query(where)) or "everything"


def _events(asked: Asked) -> Sending:
    """The entries of the filter as a file."""
    file_format = Format(asked.path["file_format"])
    pieces, _ = _pieces(asked, file_format)
    return _sending(asked, pieces, f"events.{file_format}", _MEDIA_TYPES[file_format])


def _packed_events(asked: Asked) -> Sending:
    """The same file in a zip, with a manifest that counts what was really written."""
    file_format = Format(asked.path["file_format"])
    pieces, counted = _pieces(asked, file_format)
    by, columns = viewer.name(), asked.query.get("columns", "")

    def about() -> dict[str, Any]:
        return {
            "entries": counted.entries,
            "format": str(file_format),
            "columns": list(parse_columns(columns)) or "all",
            "filter": links.filter_query(asked.where),
            "made_at": exact(deps.now_unix_nano()),
            "made_by": by,
            "purpose": asked.why,
        }

    name = f"events.{file_format}"
    return _sending(asked, packed(f"audit-{name}", pieces, about), f"{name}.zip", "application/zip")


def _pieces(asked: Asked, file_format: Format) -> tuple[Iterator[bytes], Counted]:
    """The file in pieces, in the columns that are asked for, and its entries as they are counted."""
    columns = parse_columns(asked.query.get("columns", ""))
    payload, with_content = needs_payload(file_format, columns), needs_texts(columns)
    counted = Counted(deps.reader().stream(asked.where, with_content=with_content, payload=payload))
    return chunks(file_format, counted, columns, bom=True), counted


def _sending(asked: Asked, pieces: Iterator[bytes], name: str, media_type: str) -> Sending:
    """Count the rows and read the first piece, so that a store that is down is told before anything is sent."""
    where = asked.where
    rows = deps.reader().count(where).events
    first = next(pieces, b"")

    def body() -> Iterator[bytes]:
        yield first
        yield from pieces

    return Sending(
        body(),
        rows,
        target_type="task" if where.task_id else "events",
        target=where.task_id or name,
        filename=f"audit-{name}",
        media_type=media_type,
    )


def _figures(asked: Asked) -> Sending:
    """Make the figures of a page again from the filter."""
    page = asked.path["page"]
    try:
        zone = ZoneInfo(asked.query.get("zone", "UTC")).key
    except (ValueError, OSError, KeyError) as exc:
        raise MalformedInput(f"This can not be exported: {exc}") from exc
    figures, said = gather.FIGURES[page](asked.where, zone), _said(asked.where)
    return Sending(
        measures.as_csv(figures, asked.where, said),
        len(figures),
        target_type="figures",
        target=f"{page}.csv",
        filename=f"audit-{page}.csv",
        media_type=_MEDIA_TYPES[Format.CSV],
        headers={"X-Filter": said.encode("ascii", "backslashreplace").decode()[:_MAX_HEADER]},
    )


def _evidence(asked: Asked) -> Sending:
    """Make the evidence bundle of the filter."""
    file, made = deps.bundle(asked.where, asked.why)

    def body() -> Iterator[bytes]:
        with file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    return Sending(
        body(),
        made.entries,
        target_type="bundle",
        target=asked.where.task_id or "evidence.zip",
        filename="evidence.zip",
        media_type="application/zip",
    )


def _report(asked: Asked) -> Sending:
    """Make the report on a standard from the filter, and sign it."""
    code, said = asked.path["standard"], asked.query.get("verified", "")
    if said not in {"", "true"}:
        raise MalformedInput(f"verified={said!r}: say true, or leave it out")
    report, body = reporting.sealed(code, asked.where, asked.why, is_verified=bool(said))
    return Sending(
        body,
        report.events,
        target_type="report",
        target=f"{code}.zip",
        filename=controls.file_name(code),
        media_type="application/zip",
    )


DOWNLOADS: Final = (
    Download(
        "/export/events.{file_format}.zip", _packed_events, names={"file_format": tuple(Format)}, own=("columns",)
    ),
    Download("/export/events.{file_format}", _events, names={"file_format": tuple(Format)}, own=("columns",)),
    Download("/export/figures/{page}.csv", _figures, names={"page": tuple(gather.FIGURES)}, own=("zone",)),
    Download("/export/report/{standard}.zip", _report, names={"standard": tuple(STANDARDS)}, own=("verified",)),
    # ConfigError: nothing of it is under a checkpoint yet.
    Download("/export/evidence.zip", _evidence, config_status=409),
)
