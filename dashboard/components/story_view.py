"""The story of a task as HTML. Everything that came from data goes through ``esc``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import asking
import masked
import story
import texts
from formats import duration, esc
from links import compare_url, task_url
from masked import prose
from words import Row, kind_of

from otel_audit.model import EventType

Narrowed = Callable[[str, str], str]  # the link for a key and a value of a filter; empty for none
_NOTHING: Mapping[tuple[str, int], str] = MappingProxyType({})


def verdict(pieces: Iterable[story.Piece]) -> str:
    """The one-sentence verdict."""
    return f'<p class="lead">{strong(pieces)}</p>'


def strong(pieces: Iterable[story.Piece]) -> str:
    """Pieces of a sentence, some of them bold."""
    return "".join(f"<b>{prose(text)}</b>" if is_strong else prose(text) for text, is_strong in pieces)


def time_bar(rows: Sequence[Row]) -> str:
    """Where the time went: people, AI, waiting. Empty when nothing took time."""
    split = story.time_split(rows)
    if split is None or split.total <= 0:
        return ""
    parts = [
        ("People reviewing", split.people, "review"),
        ("AI working", split.ai, "ai"),
        ("Waiting", split.waiting, "waiting"),
    ]
    said = ", ".join(f"{name} {duration(seconds)}" for name, seconds, _ in parts)
    stretches = "".join(
        f'<span class="t-{tone}" style="flex:{max(seconds, split.total * 0.004):.3f}"></span>'
        for _, seconds, tone in parts
        if seconds > 0
    )
    legend = "".join(
        f'<span class="t-{tone}"><i></i>{name} <b>{duration(seconds)}</b></span>' for name, seconds, tone in parts
    )
    return (
        f'<div class="sub" style="margin:0">Took <b style="color:var(--a-text)">{duration(split.total)}</b> '
        f'from start to finish</div><div class="bar" role="img" aria-label="{esc(said)}">{stretches}</div>'
        f'<div class="legend">{legend}</div>'
    )


def timeline(
    rows: Sequence[Row],
    zone: str,
    marked: tuple[str, int] | None,
    everything: Sequence[Row] = (),
    *,
    with_texts: bool = True,
    erased: Mapping[tuple[str, int], str] = _NOTHING,
    narrowed: Narrowed = asking.alone,
) -> str:
    """The timeline, oldest first; ``marked`` is the (origin, seq) of the entry that a link points at.

    ``everything`` are all entries of the task, also those that are not shown. ``erased`` says of entries whose texts
    were erased when and why. ``narrowed`` is the link of a value that one can filter by.
    """
    lines: list[str] = []
    for happening in story.timeline(rows, zone, everything):
        if happening.gap:
            lines.append(f'<li class="gap">{esc(happening.gap)}</li>')
        if happening.round:
            lines.append(f'<li class="day round">{esc(happening.round)}: the task was opened again</li>')
        if happening.day:
            lines.append(f'<li class="day">{esc(happening.day)}</li>')
        lines.append(_line(happening, marked, erased, narrowed, with_texts=with_texts))
    return f'<ol class="tl" aria-label="Timeline, oldest first">{"".join(lines)}</ol>'


def _line(
    happening: story.Happening,
    marked: tuple[str, int] | None,
    erased: Mapping[tuple[str, int], str],
    narrowed: Narrowed,
    *,
    with_texts: bool,
) -> str:
    row = happening.row
    kind = kind_of(row["event_type"])
    is_marked = marked == (row["origin"], row["seq"])
    why = row["content"].get("rationale", "")
    time = f'<time datetime="{happening.exact}" title="{happening.exact}">{happening.time}</time>'
    parts = [
        f'<li class="t-{kind.tone}{" marked" if is_marked else ""}"{" aria-current=true" if is_marked else ""}>',
        f'<span class="dot" title="{esc(kind.label)}"><span class="ic" aria-hidden="true">{kind.icon}</span></span>',
        f'<div class="top"><b>{prose(happening.headline)}</b>{time}</div>',
        f'<div class="meta">{prose(" · ".join([kind.label, *happening.notes]))}</div>',
        f'<blockquote class="why">{_text(why)}</blockquote>' if why else "",
        _readable(row, erased.get((row["origin"], row["seq"]), "")) if with_texts else "",
        _details(row, narrowed),
        "</li>",
    ]
    return "".join(parts)


def _readable(row: Row, erased: str) -> str:
    """The texts of an entry, folded, with who says what; ``erased``: when and why they are gone."""
    found: list[str] = []
    missing = [name for name in row.get("content_commitments", {}) if name not in row["content"]]
    for name, title, speaker in texts.READABLE:
        if name in row["content"]:
            text = row["content"][name]
            said = texts.documents(text) if name == "context" else texts.messages(text, speaker)
            found.append(_folded(title, said))
        elif name in missing:
            found.append(f'<div class="meta">{esc(title)}: {esc(erased or "the text is not here any more")}.</div>')
    if row["event_type"] == EventType.REVIEW and "before" in row["content"] and "after" in row["content"]:
        changed = diff(row["content"]["before"], row["content"]["after"])
        found.append(f"<details><summary>What was changed</summary>{changed}</details>")
    if row["event_type"] == EventType.AI_CALL:
        found.append(_configuration(row))
    if why := masked.said(row["content"].values(), row["capture_policy"]):
        icon = '<span class="ic" aria-hidden="true">visibility_off</span>'
        found.append(f'<div class="meta">{icon} {esc(why)}</div>')
    return "".join(found)


def _configuration(row: Row) -> str:
    pairs = "".join(f"<dt>{esc(label)}</dt><dd>{prose(value)}</dd>" for label, value in story.configuration(row))
    none = "" if row["configuration"] else '<p class="sub">No setting was recorded: the provider\'s own applied.</p>'
    return f'<details><summary>What it ran with</summary><dl class="kv">{pairs}</dl>{none}</details>'


def _folded(title: str, said: Iterable[texts.Message]) -> str:
    body = "".join(f'<div class="msg"><b>{esc(m.speaker)}</b><div>{_text(m.text)}</div></div>' for m in said)
    return f"<details><summary>{esc(title)}</summary>{body}</details>"


def _details(row: Row, narrowed: Narrowed) -> str:
    pairs = "".join(
        f"<dt>{esc(label)}</dt><dd>{f'<code>{esc(value)}</code>' if is_code else prose(value)}</dd>"
        for label, value, is_code in story.details(row)
    )
    url = task_url(row["task_id"], origin=row["origin"], seq=row["seq"])
    link = (
        f'<dt>Links</dt><dd><a href="{esc(url)}" target="_self">This event</a> · '
        f'<a href="{esc(compare_url(row))}" target="_self">Compare with another</a></dd>'
    )
    found = [(each.label, word, narrowed(each.key, word)) for each, word in asking.of_row(row)]
    values = "".join(
        f'<a class="chosen" href="{esc(url)}" target="_self" title="Find events with this value">{esc(label)}: '
        f"<b>{prose(word)}</b></a> "
        for label, word, url in found
        if url
    )
    more = f'<dt>Find more with</dt><dd class="chosens">{values}</dd>' if values else ""
    return f'<details><summary>Technical details</summary><dl class="kv">{pairs}{link}{more}</dl></details>'


def diff(before: str, after: str) -> str:
    """A word diff of two texts."""
    runs = texts.word_diff(texts.plain(before), texts.plain(after))
    return f'<div class="diff">{"".join(map(_run, runs))}</div>'


def _run(run: texts.Run) -> str:
    if not run.changed:
        return prose(run.added)
    removed = f"<del>{prose(run.removed)}</del>" if run.removed else ""
    added = f"<ins>{prose(run.added)}</ins>" if run.added else ""
    return f"{removed}{' ' if removed and added else ''}{added}"


def _text(text: str) -> str:
    shown, left_out = texts.shortened(text)
    more = f"\n… {left_out:,} more characters: the export has all of them." if left_out else ""
    return prose(shown + more)
