"""The HTML that every page starts from: Streamlit's own, told where its server is.

Streamlit's client asks below the page's own address first (``/task/_stcore/health``), and below the root only when
that has failed: an error in the console, and a tenth of a second before anything can be drawn.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import roles
import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

# Read once by Streamlit's client. One that does not know it any more asks as it did before.
_WHERE: Final = "<script>window.__streamlit = { BACKEND_BASE_URL: location.origin }</script>"


@cache
def html() -> str:
    """The page that loads Streamlit's client. It holds nothing of the record, and is the same for everybody."""
    theirs = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    return theirs.replace("<head>", f"<head>\n    {_WHERE}", 1)


def routes() -> list[Route]:
    """The address of each page. What a page shows is guarded when it runs, over the connection that this opens."""
    return [Route(f"/{path}", _page, methods=["GET"]) for path in roles.PAGES]


async def _page(_request: Request) -> Response:
    return HTMLResponse(html(), headers={"Cache-Control": "no-cache"})
