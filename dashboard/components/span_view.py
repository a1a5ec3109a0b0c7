"""One span in full, and log records, as HTML. Everything that came from data goes through ``esc``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import links
import texts
from formats import count, esc, exact, local
from masked import prose
from words import Row, headline, kind_of

_SHOWN_LOG: int = 2000  # characters of a log record's text in the list; its entry has all of it


def attributes(title: str, values: Mapping[str, Any]) -> str:
    """Attributes as a folded list; empty when there are none."""
    if not values:
        return ""
    pairs = "".join(f"<dt>{prose(name)}</dt><dd>{_value(value)}</dd>" for name, value in sorted(values.items()))
    return f"<details><summary>{esc(title)} ({len(values):,})</summary><dl class='kv'>{pairs}</dl></details>"


def attributes_of(row: Row) -> str:
    """All attributes of an entry: its own, of its resource and of its instrumentation scope."""
    return "".join(
        (
            attributes("Attributes", {**row["attributes"], **row["attributes_json"]}),
            attributes("Resource", {**row["resource_attributes"], **row["resource_attributes_json"]}),
            attributes("Instrumentation scope", row["scope_attributes_json"]),
            attributes("OTLP fields", row["otlp"]),
        )
    )


def span_links(row: Row, trace_id: str) -> str:
    """The spans that this one links to, each as a way there."""
    found = parsed(row["links"])
    if not found:
        return ""
    items = []
    for each in found:
        target, span = str(each.get("trace_id", "")), str(each.get("span_id", ""))
        where = "this trace" if target == trace_id else f"trace {target}"
        href = links.trace_url(target, span=span)
        said = attributes("Attributes", _mapping(each.get("attributes")))
        items.append(f'<li><a href="{esc(href)}" target="_self">{esc(f"{where}, span {span}")}</a>{said}</li>')
    return f'<h3 class="h later">Linked spans ({len(found):,})</h3><ul class="plain">{"".join(items)}</ul>'


def span_events(row: Row, zone: str) -> str:
    """What the span reported while it ran (OpenTelemetry span events), folded."""
    found = parsed(row["span_events"])
    if not found:
        return ""
    items = []
    for each in found:
        time = _nanoseconds(each)
        shown = f"{_clock(time, zone)} " if time is not None else ""
        said = attributes("Attributes", _mapping(each.get("attributes")))
        items.append(f"<li>{shown}<b>{prose(str(each.get('name', '')))}</b>{said}</li>")
    body = "".join(items)
    return f'<details><summary>Events of the span ({len(found):,})</summary><ul class="plain">{body}</ul></details>'


def raw(row: Row) -> str:
    """The whole entry as JSON, folded."""
    text = json.dumps(row, indent=2, sort_keys=True, ensure_ascii=False, default=str)
    shown, left_out = texts.shortened(text)
    more = f"\n… {left_out:,} more characters: the export has all of them." if left_out else ""
    return f"<details><summary>Raw JSON</summary><pre class='raw' tabindex='0'>{esc(shown + more)}</pre></details>"


def logs(rows: Sequence[Row], zone: str) -> str:
    """Log records in time order, with their texts."""
    return (
        f'<ol class="plain logs" aria-label="Log records, oldest first">{"".join(_log(row, zone) for row in rows)}</ol>'
    )


def _log(row: Row, zone: str) -> str:
    kind = kind_of(row["event_type"])
    body = texts.plain(row["content"].get("body", ""))
    shown, left_out = texts.shortened(body, _SHOWN_LOG)
    more = f"<i> … {count(left_out, 'more character')}</i>" if left_out else ""
    gone = [name for name in row["content_commitments"] if name not in row["content"]]
    said = prose(shown) + more if body else prose(headline(row))
    missing = f'<div class="muted">Not here any more: {esc(", ".join(gone))}.</div>' if gone else ""
    problem = row["error_type"] or ("error" if row["status"] == "error" else "")
    mark = f'<b class="t-problem tone">⚠ {esc(problem)}</b> ' if problem else ""
    span = f" · span {esc(row['span_id'])}" if row["span_id"] else ""
    return (
        f'<li class="t-{kind.tone}">{_clock(row["event_time"], zone)} '
        f'<span class="tone"><span class="ic" aria-hidden="true">{kind.icon}</span> {esc(kind.label)}</span> '
        f'<span class="muted">{esc(row["service"])}{span}</span><div class="said">{mark}{said}</div>{missing}'
        f"{attributes_of(row)}{raw(row)}</li>"
    )


def parsed(text: str) -> list[dict[str, Any]]:
    """A stored list of span events or links. What is not one reads as empty: the raw JSON shows it as it is."""
    try:
        found = json.loads(text) if text else []
    except ValueError:
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _nanoseconds(event: Mapping[str, Any]) -> int | None:
    for name in ("time_unix_nano", "time", "timeUnixNano"):
        try:
            return int(event[name])
        except (KeyError, TypeError, ValueError):
            continue
    return None


def _clock(unix_nano: int, zone: str) -> str:
    moment = local(unix_nano, zone).strftime("%H:%M:%S.%f")[:-3]
    return f'<time datetime="{exact(unix_nano)}" title="{exact(unix_nano)}">{moment}</time>'


def _value(value: Any) -> str:
    shown, left_out = texts.shortened(
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    )
    return prose(shown) + (f"<i> … {count(left_out, 'more character')}</i>" if left_out else "")
