"""The waterfall of a trace as a component of our own (``components/waterfall``)."""

from __future__ import annotations

from typing import Any

from components.packaged import packaged
from waterfall import Step, Trace, is_technical
from words import kind_of


def waterfall(trace: Trace, trace_id: str, selected: str) -> str:
    """Draw the trace with the span ``selected`` (origin:seq) marked; returns the one that was chosen, empty if none."""
    chosen = packaged("waterfall", '<div class="wf"></div>')(
        key=f"waterfall_{trace_id}",
        data={
            "id": trace_id,
            "length": trace.length,
            "selected": selected,
            "services": sorted({str(step.row["service"]) for step in trace.steps}),
            "spans": [_drawn(step, trace.begin) for step in trace.steps],
        },
        default={"span": selected},
        on_span_change=lambda: None,
    )
    return str(chosen.span or "")


def key_of(step: Step) -> str:
    """How the page and its component name a span: origin:seq, which is one span even where ids repeat."""
    return f"{step.row['origin']}:{step.row['seq']}"


def note(step: Step) -> str:
    """What is unusual about where a span stands, in words."""
    said = [step.orphan] if step.orphan else []
    if step.skew:
        said.append(f"clock {step.skew / 1e6:,.1f} ms behind its caller's, drawn later")
    if step.row["duplicate_of"]:
        said.append("reported again")
    return ", ".join(said)


def _drawn(step: Step, zero: int) -> dict[str, Any]:
    row, kind = step.row, kind_of(step.row["event_type"])
    named = not is_technical(row)
    return {
        "key": key_of(step),
        "name": row["name"],
        "service": str(row["service"]),
        "parent": step.parent,
        "depth": step.depth,
        "size": step.size,
        "begin": step.begin - zero,
        "end": step.end - zero,
        "critical": [[since - zero, until - zero] for since, until in step.critical],
        "failed": step.failed,
        "errorPath": step.on_error_path,
        "tone": kind.tone,
        "icon": kind.icon if named else "",
        "word": kind.label if named else "",
        "note": note(step),
    }
