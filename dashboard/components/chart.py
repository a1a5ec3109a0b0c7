"""Events over time as stacked bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import altair as alt
import pandas as pd
import theme
from components.plots import draw
from words import KNOWN_KINDS, TYPE_OF_LABEL, kind_of

_HOUR: Final = 3600
_DAY: Final = 86400


def event_bars(bars: Sequence[dict[str, Any]], step_seconds: int, period_millis: tuple[int, int]) -> None:
    """Draw the pieces that ``presenters.bars`` made, each ``step_seconds`` wide, over the whole period.

    ``period_millis`` is from when to when, in wall-clock milliseconds: days on which nothing happened are shown.
    """
    colours = theme.colours()
    present = {bar["kind"] for bar in bars}
    labels = [kind.label for kind in KNOWN_KINDS if kind.label in present]
    labels += sorted(present.difference(labels))
    tones = [colours[kind_of(TYPE_OF_LABEL.get(label, label)).tone] for label in labels]
    data = pd.DataFrame(bars)
    data[["t", "until"]] = data[["t", "until"]].apply(pd.to_datetime, unit="ms")
    start = min(period_millis[0], *(bar["t"] for bar in bars))
    end = max(period_millis[1], *(bar["until"] for bar in bars))
    time_axis = alt.Axis(
        format="%-d %b" if step_seconds >= _DAY else "%-d %b %H:%M" if step_seconds > _HOUR else "%H:%M",
        grid=False,
        tickCount=min(10, max(2, (end - start) // (step_seconds * 1000))),
        labelOverlap=True,
        labelBound=True,
        labelColor=colours["muted"],
        domainColor=colours["line"],
        tickColor=colours["line"],
    )
    count_axis = alt.Axis(
        tickCount=2,
        tickMinStep=1,
        labelColor=colours["muted"],
        gridColor=colours["line"],
        domain=False,
        ticks=False,
        format=",d",  # "," alone writes 200 as 2e+2 where there are few ticks
    )
    drawing = (
        alt.Chart(data)
        .mark_rect(stroke=colours["bg"], strokeWidth=0.75, cornerRadius=1)
        .encode(
            x=alt.X("t:T", scale=alt.Scale(type="utc", domain=[start, end]), title=None, axis=time_axis),
            x2="until:T",
            y=alt.Y("low:Q", title=None, axis=count_axis),
            y2="high:Q",
            color=alt.Color("kind:N", legend=None, scale=alt.Scale(domain=labels, range=tones)),
            tooltip=[
                alt.Tooltip("t:T", title="From", format="%a %-d %b %Y, %H:%M"),
                alt.Tooltip("kind:N", title="Event"),
                alt.Tooltip("n:Q", title="Count", format=","),
            ],
        )
        .properties(height=96)
    )
    draw(drawing, "histogram", f"Events over time: {sum(bar['n'] for bar in bars):,} events")
