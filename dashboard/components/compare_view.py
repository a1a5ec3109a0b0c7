"""Two entries side by side as HTML. Everything that came from data goes through ``esc`` or ``prose``."""

from __future__ import annotations

from collections.abc import Sequence

from comparing import Comparison, Pair, Texts
from components import story_view
from formats import count, esc
from masked import prose

_DIFFERS = '<span class="mark differs"><span aria-hidden="true">≠</span> differs</span>'
_LEGEND = "Struck through: only in the first. Underlined: only in the second."
_SAME = '<span class="mark"><span aria-hidden="true">=</span> same</span>'


def differing(found: Comparison, heads: tuple[str, str]) -> str:
    """The values that differ, and those that do not, folded; ``heads`` are HTML."""
    values = [pair for pair in found.values if pair.differs]
    same = [pair for pair in found.values if not pair.differs]
    attributes = [pair for pair in found.attributes if pair.differs]
    parts = [_table(values, heads, "Values that differ") if values else '<p class="sub">No value differs.</p>']
    parts += [_folded(f"Other attributes that differ ({len(attributes):,})", attributes, heads)] if attributes else []
    parts += [_folded(f"What is the same ({len(same):,})", same, heads)] if same else []
    parts += [_folded("Times, ids and proof, which every event has its own of", found.own, heads)]
    return "".join(parts)


def text(each: Texts) -> str:
    """A text of both: the changes from the first to the second one."""
    if each.gone:
        said, shown = "The text of one of them is not here any more, so the two can not be compared.", ""
    elif each.left is None or each.right is None:
        missing, there = ("first", each.right) if each.left is None else ("second", each.left)
        said, shown = f"{_DIFFERS} The {missing} event has no such text.", story_view.diff(there or "", there or "")
    elif not each.differs:
        said, shown = _SAME, _fold("Show it", story_view.diff(each.left, each.left))
    else:
        form = "The words are the same; their form (roles or ids) is not." if each.same_words else _LEGEND
        said, shown = f"{_DIFFERS} {form}", story_view.diff(each.left, each.right)
    return f'<h2 class="h later">{esc(each.label)}</h2><p class="sub">{said}</p>{shown}'


def _folded(title: str, pairs: Sequence[Pair], heads: tuple[str, str]) -> str:
    return _fold(title, _table(pairs, heads, title))


def _fold(title: str, body: str) -> str:
    return f"<details><summary>{esc(title)}</summary>{body}</details>"


def _table(pairs: Sequence[Pair], heads: tuple[str, str], label: str) -> str:
    lines = "".join(
        f'<tr><th scope="row">{esc(pair.label)}<br>{_DIFFERS if pair.differs else _SAME}</th>'
        f"<td>{_cell(pair.left)}</td><td>{_cell(pair.right)}</td></tr>"
        for pair in pairs
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{esc(label)}: {count(len(pairs), "line")}">'
        f'<table class="grid compare"><thead><tr><th scope="col">Field</th><th scope="col">{heads[0]}</th>'
        f'<th scope="col">{heads[1]}</th></tr></thead><tbody>{lines}</tbody></table></div>'
    )


def _cell(value: str) -> str:
    return prose(value) if value else '<span class="muted">none</span>'
