"""Components of our own, whose files lie in a folder here and are served by this process."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st
import theme
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

_PACKAGE: Final = "otel-audit-dashboard"


def packaged(name: str, html: str) -> Any:
    """The component of ``components/<name>/<name>.js`` and ``.css``, around ``html``.

    It is registered with this process first: the dashboard runs from a folder as from a wheel.
    """
    manager, full = get_bidi_component_manager(), f"{_PACKAGE}.{name}"
    if manager.get_metadata(full) is None:
        config = ComponentConfig(name, asset_dir=f"components/{name}")
        manager.register_from_manifest(ComponentManifest(_PACKAGE, "1", [config]), theme.HERE)
    return st.components.v2.component(full, html=html, css=f"{name}.css", js=f"{name}.js")
