"""URLs of the dashboard: pages, and exports that carry exactly the filter on screen. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from otel_audit.errors import ConfigError, MalformedInput
from otel_audit.model import Filter

FORMATS: Final = {
    "csv": ("CSV", "for spreadsheets"),
    "jsonl": ("JSON Lines", "every field"),
    "parquet": ("Parquet", "for analysis tools"),
}


_VIEWER: Final = re.compile(r"(?:(?P<name>[^=:/?#]+)=)?(?P<url>https?://\S+)")
_NUMBERS: Final = {"since", "until", "quick_floor", "words_per_minute"}
_VIEWS: Final = {"sizes", "beyond"}


@dataclass(frozen=True, slots=True)
class Within:
    """The list that a record was opened from: its filter, and the query of the search page that shows it.

    Without ``view``, the page that shows it is that of the filter alone.
    """

    where: Filter
    view: Sequence[tuple[str, str]] = ()

    def pairs(self) -> list[tuple[str, str]]:
        """As query parameters of a record's URL; ``parse_within`` reads them back."""
        view = [("view", urlencode(list(self.view)))] if self.view else []
        return [("within", urlencode(filter_query(self.where))), *view]

    def url(self, page: int = 1) -> str:
        """The list, at one of its pages."""
        numbered = [("page", str(page))] if page > 1 else []
        return "/?" + urlencode([*(self.view or _alone(self.where)), *numbered])


def parse_within(query: Mapping[str, str]) -> Within | None:
    """The list that the parameters of a record's URL name; None for none. Raises MalformedInput for half a link."""
    if "within" not in query:
        return None
    where = parse_filter(parse_qsl(query["within"], keep_blank_values=True))
    return Within(where, parse_qsl(query.get("view", ""), keep_blank_values=True))


def task_url(task_id: str, *, origin: str = "", seq: int | None = None, within: Within | None = None) -> str:
    """The record of a task, with one of its events marked when ``origin`` and ``seq`` are given.

    Without a task it is that of the event alone. ``within`` is the list whose next and previous entries it leads to.
    """
    query = [("id", task_id)] if task_id else []
    if seq is not None:
        query.append(("event", event_key(origin, seq)))
    return "/task?" + urlencode([*query, *(within.pairs() if within else [])])


def event_key(origin: str, seq: int) -> str:
    """An event as a parameter of a URL."""
    return f"{origin}:{seq}"


def parse_event(key: str) -> tuple[str, int] | None:
    """(origin, seq) of what ``event_key`` wrote; None for anything else."""
    origin, _, seq = key.rpartition(":")
    return (origin, int(seq)) if origin and seq.isascii() and seq.isdigit() else None


def compare_url(left: Mapping[str, Any], right: Mapping[str, Any] | None = None) -> str:
    """The page that compares two entries; with one alone, the page that asks for the other."""
    pairs = [(name, event_key(row["origin"], row["seq"])) for name, row in (("a", left), ("b", right)) if row]
    return "/compare?" + urlencode(pairs)


def trace_url(trace_id: str, *, span: str = "") -> str:
    """The page of a trace, with one of its spans (its id) opened when ``span`` is given."""
    return "/trace?" + urlencode({"id": trace_id} | ({"span": span} if span else {}))


def trace_viewers(templates: str, trace_id: str) -> list[tuple[str, str]]:
    """(name, URL) of the trace in each of the operator's trace viewers.

    ``templates`` are URLs with ``{trace_id}`` in them, separated by white space, each with a name before it if it is to
    have another than its host: ``Jaeger=https://jaeger/trace/{trace_id}``. Raises ConfigError for anything else.
    """
    found = []
    for template in templates.split():
        match = _VIEWER.fullmatch(template)
        host = urlsplit(match["url"]).netloc if match else ""
        if match is None or not host or "{trace_id}" not in match["url"]:
            raise ConfigError(
                f"OTEL_AUDIT_TRACE_LINK: {template!r} is no link template; "
                "write NAME=https://HOST/PATH with {trace_id} in it, several separated by spaces"
            )
        found.append((match["name"] or host, match["url"].replace("{trace_id}", trace_id)))
    return found


def search_url(**query: str) -> str:
    """The search page with these settings in its URL."""
    return "/?" + urlencode(query)


def events_url(where: Filter) -> str:
    """The search page with exactly the events of ``where``: the link of a figure to what it was counted from."""
    return "/?" + urlencode(_alone(where))


def _alone(where: Filter) -> list[tuple[str, str]]:
    return [("where", urlencode(filter_query(where)))]


def entry_url(origin: str, seq: int) -> str:
    """The search page with exactly this entry."""
    return events_url(Filter(sizes=((origin, seq + 1),), beyond=((origin, seq),)))


def only_entry(where: Filter) -> tuple[str, int] | None:
    """The (origin, seq) of the one entry that a filter is, None when it is another filter."""
    alone = len(where.sizes) == len(where.beyond) == 1 and where.sizes[0] == (
        where.beyond[0][0],
        where.beyond[0][1] + 1,
    )
    return where.beyond[0] if alone else None


def week_url(name: str) -> str:
    """The log review of a week, such as 2026-W47."""
    return "/log-review?" + urlencode({"week": name})


def report_url(standard: str, where: Filter, *, why: str, verified: bool = False) -> str:
    """Where the signed report is downloaded, made again from the same filter; ``why`` is the stated purpose."""
    said = [("verified", "true")] if verified else []
    return f"/export/report/{standard}.zip?" + urlencode([*filter_query(where), *said, ("why", why)])


def export_url(
    file_format: str, where: Filter, *, rows: int, why: str, columns: Sequence[str] = (), is_packed: bool = False
) -> str:
    """Where exactly this view is downloaded: ``rows`` is the count on screen, ``why`` the stated purpose.

    ``columns`` are those of the file (none: all); ``is_packed`` asks for a zip with a manifest.
    """
    chosen = [("columns", ",".join(columns))] if columns else []
    query = urlencode([*filter_query(where), *chosen, ("rows", rows), ("why", why)])
    return f"/export/events.{file_format}{'.zip' if is_packed else ''}?{query}"


def figures_url(page: str, where: Filter, *, why: str, zone: str) -> str:
    """Where the figures of a page are downloaded as CSV, made again from the same filter."""
    return f"/export/figures/{page}.csv?" + urlencode([*filter_query(where), ("zone", zone), ("why", why)])


def bundle_url(where: Filter, *, why: str) -> str:
    """Where the evidence bundle of a filter is downloaded; ``why`` is the stated purpose."""
    return "/export/evidence.zip?" + urlencode([*filter_query(where), ("why", why)])


def filter_query(where: Filter) -> list[tuple[str, str]]:
    """A filter as query parameters; ``parse_filter`` reads them back to the same filter."""
    pairs: list[tuple[str, str]] = []
    for field in fields(where):
        value = getattr(where, field.name)
        if field.name in _VIEWS:
            pairs += [(field.name, f"{origin}:{size}") for origin, size in value]
        elif isinstance(value, str):
            pairs += [(field.name, value)] if value else []
        elif isinstance(value, (int, float)):  # also the zero that a time or a limit may be
            pairs.append((field.name, str(value)))
        elif value:
            pairs += [(field.name, each) for each in value]
    return pairs


def parse_filter(query: Iterable[tuple[str, str]], ignored: Iterable[str] = ()) -> Filter:
    """The filter that ``filter_query`` wrote. Raises MalformedInput for a parameter it does not know.

    An unknown parameter is refused, never skipped: skipping one would export more than was asked for.
    """
    where, empty = Filter(), Filter()
    skipped = set(ignored)
    for name, text in query:
        if name in skipped:
            continue
        if name not in {field.name for field in fields(where)}:
            raise MalformedInput(f"unknown filter {name!r}")
        old = getattr(where, name)
        value: Any
        if name in _NUMBERS:
            value = _number(name, text)
        elif name in {"confidence_from", "confidence_to"}:
            value = _share(name, text)
        elif name in _VIEWS:
            origin, _, size = text.rpartition(":")
            value = (*old, (origin, _number(name, size)))
        elif isinstance(getattr(empty, name), str):
            value = text
        else:
            value = (*old, text)
        changes: Mapping[str, Any] = {name: value}
        where = replace(where, **changes)
    return where


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as exc:
        raise MalformedInput(f"filter {name}: {text!r} is not a number") from exc


def _share(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise MalformedInput(f"filter {name}: {text!r} is not a number") from exc
