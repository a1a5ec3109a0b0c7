"""The charts of figures: one look, colours of the theme, times already shifted and drawn on a UTC scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import pandas as pd
import streamlit as st
import theme

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
Rows = Sequence[Mapping[str, Any]]


def draw(drawing: alt.TopLevelMixin, key: str, label: str) -> None:
    """Put a chart on the page; ``label`` says what is in it to whoever does not see it."""
    # Not st.altair_chart: it checks each chart against Vega-Lite's schema, and that takes as long as all the rest.
    st.vega_lite_chart(drawing.to_dict(validate=False), key=key, alt=label)


def _axis(**more: Any) -> alt.Axis:
    colours = theme.colours()
    said: dict[str, Any] = {
        "labelColor": colours["muted"],
        "titleColor": colours["muted"],
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "gridColor": colours["line"],
        "domainColor": colours["line"],
        "tickColor": colours["line"],
        "labelOverlap": True,
    }
    return alt.Axis(**{**said, **more})


def _counts(title: str | None = None) -> alt.Axis:
    return _axis(title=title, tickCount=3, tickMinStep=1, domain=False, ticks=False, format=",d")


def distribution(bars: Rows, tone: str, key: str, unit: str, label: str) -> None:
    """Bars of a distribution by bins in order."""
    colours = theme.colours()
    data = pd.DataFrame(bars)
    order = list(data["bin"])
    drawing = (
        alt.Chart(data)
        .mark_bar(color=colours[tone], cornerRadius=2)
        .encode(
            x=alt.X(
                "bin:N",
                sort=order,
                title=None,
                axis=_axis(labelAngle=-35, grid=False, labelLimit=160, labelOverlap=False),
            ),
            y=alt.Y("n:Q", title=None, axis=_counts()),
            tooltip=[alt.Tooltip("bin:N", title="Time"), alt.Tooltip("n:Q", title=unit, format=",")],
        )
        .properties(height=190)
    )
    draw(drawing, key, label)


def stacked_days(pieces: Rows, names: Sequence[str], tones: Sequence[str], key: str, label: str) -> None:
    """Stacked bars over days or weeks, from pieces with t, until, kind, n, low and high."""
    colours = theme.colours()
    data = pd.DataFrame(pieces)
    data[["t", "until"]] = data[["t", "until"]].apply(pd.to_datetime)
    drawing = (
        alt.Chart(data)
        .mark_rect(stroke=colours["bg"], strokeWidth=0.75, cornerRadius=1)
        .encode(
            x=alt.X(
                "t:T",
                scale=alt.Scale(type="utc"),
                title=None,
                axis=_axis(
                    format="%-d %b", grid=False, tickCount={"interval": "day", "step": 1} if len(data) < 4 else 8
                ),
            ),
            x2="until:T",
            y=alt.Y("low:Q", title=None, axis=_counts()),
            y2="high:Q",
            color=alt.Color(
                "kind:N", legend=None, scale=alt.Scale(domain=list(names), range=[colours[tone] for tone in tones])
            ),
            tooltip=[
                alt.Tooltip("t:T", title="From", format="%a %-d %b %Y"),
                alt.Tooltip("kind:N", title="What"),
                alt.Tooltip("n:Q", title="Count", format=","),
            ],
        )
        .properties(height=190)
    )
    draw(drawing, key, label)


def hours(found: Sequence[tuple[int, int, int]], key: str, label: str) -> None:
    """A week as squares by weekday and hour: the darker, the more."""
    colours = theme.colours()
    known = {(day, hour): number for day, hour, number in found}
    data = pd.DataFrame(
        [
            {"day": _WEEKDAYS[day - 1], "hour": hour, "n": known.get((day, hour), 0)}
            for day in range(1, 8)
            for hour in range(24)
        ]
    )
    drawing = (
        alt.Chart(data)
        .mark_rect(stroke=colours["bg"], strokeWidth=1.5, cornerRadius=3)
        .encode(
            x=alt.X(
                "hour:O",
                title="Hour of the day",
                axis=_axis(labelAngle=0, grid=False, values=list(range(0, 24, 3)), domain=False, ticks=False),
            ),
            y=alt.Y(
                "day:O",
                sort=list(_WEEKDAYS),
                title=None,
                axis=_axis(grid=False, domain=False, ticks=False, labelOverlap=False),
            ),
            color=alt.Color(
                "n:Q", legend=None, scale=alt.Scale(range=[colours["soft"], colours["review"]], type="sqrt")
            ),
            tooltip=[
                alt.Tooltip("day:O", title="Day"),
                alt.Tooltip("hour:O", title="Hour"),
                alt.Tooltip("n:Q", title="Reviews", format=","),
            ],
        )
        .properties(height=210)
    )
    draw(drawing, key, label)


def reliability(points: Rows, key: str, label: str) -> None:
    """Stated confidence against the share that was kept, with intervals; on the dashed line the two are the same."""
    colours = theme.colours()
    scale = alt.Scale(domain=[0, 1])
    ideal = (
        alt.Chart(pd.DataFrame([{"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 1.0}]))
        .mark_line(color=colours["muted"], strokeDash=[5, 4], strokeWidth=1.5)
        .encode(x=alt.X("x:Q"), y=alt.Y("y:Q"))
    )
    base = alt.Chart(pd.DataFrame(points)).encode(
        x=alt.X("stated:Q", scale=scale, title="Confidence that the AI stated", axis=_axis(format="%", tickCount=5)),
        tooltip=[
            alt.Tooltip("stated:Q", title="Stated", format=".0%"),
            alt.Tooltip("kept:Q", title="Kept by people", format=".0%"),
            alt.Tooltip("n:Q", title="Reviews", format=","),
        ],
    )
    bars = base.mark_rule(color=colours["ai"], strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    dots = base.mark_circle(color=colours["ai"], opacity=1, stroke=colours["bg"], strokeWidth=1).encode(
        y=alt.Y("kept:Q", scale=scale, title="Share kept by people", axis=_axis(format="%", tickCount=5)),
        size=alt.Size("n:Q", legend=None, scale=alt.Scale(range=[60, 420])),
    )
    draw((ideal + bars + dots).properties(height=280), key, label)


def trend(rows: Rows, tone: str, key: str, label: str, *, form: str, title: str) -> None:
    """One line over time with its interval, from rows with t, value, low, high and n."""
    colours = theme.colours()
    data = pd.DataFrame(rows)
    data["t"] = pd.to_datetime(data["t"])
    x = alt.X("t:T", scale=alt.Scale(type="utc"), title=None, axis=_axis(format="%-d %b", grid=False, tickCount=6))
    axis = _axis(format=form, tickCount=4, domain=False, ticks=False)
    base = alt.Chart(data).encode(
        x=x,
        tooltip=[
            alt.Tooltip("t:T", title="From", format="%a %-d %b %Y"),
            alt.Tooltip("value:Q", title=title, format=form),
            alt.Tooltip("n:Q", title="Made from", format=","),
        ],
    )
    line = base.mark_line(color=colours[tone], strokeWidth=2, point={"color": colours[tone], "size": 36}).encode(
        y=alt.Y("value:Q", title=None, axis=axis, scale=alt.Scale(zero=True))
    )
    drawing = line
    if "low" in data:
        drawing = (
            base.mark_area(color=colours[tone], opacity=0.16).encode(y=alt.Y("low:Q", title=None), y2="high:Q") + line
        )
    draw(drawing.properties(height=170), key, label)
