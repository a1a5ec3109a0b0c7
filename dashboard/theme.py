"""Colours and styles. Each tone of an event is a foreground with at least 4.5:1 on its soft background."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import streamlit as st

HERE: Final = Path(__file__).parent
LIGHT: Final = {
    "bg": "#ffffff", "text": "#17202e", "muted": "#566274", "line": "#dfe4ec", "soft": "#f5f7fa",
    "created": "#475569", "created-soft": "#f1f4f8", "ai": "#6d28d9", "ai-soft": "#f3eefe",
    "review": "#1d4ed8", "review-soft": "#ebf1ff", "escalation": "#9a4a00", "escalation-soft": "#fff3e0",
    "resolution": "#04694e", "resolution-soft": "#e6f6f0", "access": "#8792a3", "access-soft": "#f1f4f8",
    "tool": "#a3217a", "tool-soft": "#fbeaf5", "problem": "#b3261e", "problem-soft": "#fdecea",
    "ins": "#04563f", "ins-soft": "#d9f5e5", "del": "#8f1d18", "del-soft": "#fde2e1",
}  # fmt: skip
DARK: Final = {
    "bg": "#10141b", "text": "#e6eaf1", "muted": "#9aa7b9", "line": "#2b3442", "soft": "#171d27",
    "created": "#a9b6c8", "created-soft": "#1e2632", "ai": "#c4a8ff", "ai-soft": "#2a2140",
    "review": "#9cbcff", "review-soft": "#1b2847", "escalation": "#ffc27a", "escalation-soft": "#3a2a12",
    "resolution": "#7fe0bd", "resolution-soft": "#123327", "access": "#6f7c90", "access-soft": "#1e2632",
    "tool": "#f0a3d6", "tool-soft": "#3a1c30", "problem": "#ff9c94", "problem-soft": "#43201f",
    "ins": "#9ff0cd", "ins-soft": "#123a29", "del": "#ffb3ad", "del-soft": "#43201f",
}  # fmt: skip
# Streamlit writes white on a primary button, which is too little contrast on the light blue of the dark theme.
_DARK_ONLY: Final = (
    '[data-testid="stBaseButton-primary"], [data-testid="stBaseLinkButton-primary"], '
    '[data-testid="stPopoverButton"][kind="primary"], button[kind^="primary"] { color: #0b1220 !important; }'
)


def is_dark() -> bool:
    """Whether the viewer's browser shows the dark theme."""
    return (st.context.theme.type or "light") == "dark"


def colours() -> dict[str, str]:
    """The colours of the theme that the viewer has."""
    return DARK if is_dark() else LIGHT


@cache
def _stylesheet() -> str:
    return (HERE / "theme.css").read_text(encoding="utf-8")


def apply() -> None:
    """Put the styles into the page. Called once a run."""
    variables = "".join(f"--a-{name}:{value};" for name, value in colours().items())
    extra = _DARK_ONLY if is_dark() else ""
    st.html(f"<style>:root{{{variables}}}\n{_stylesheet()}\n{extra}</style>")
