"""A real instrumentation that was written for another release of its client, and how it is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

DISTRIBUTION = "stale-openai-instrumentation"
_METADATA = """Metadata-Version: 2.1
Name: stale-openai-instrumentation
Version: 0.1
Provides-Extra: instruments
Requires-Dist: {requirement} ; extra == 'instruments'
"""


def install(site: Path, requirement: str = "openai>=0.27") -> None:
    """The module and its metadata, as pip would put them into the folder."""
    shutil.copy(Path(__file__).parent / "stale_openai.py", site)
    information = site / "stale_openai_instrumentation-0.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(_METADATA.format(requirement=requirement))
    (information / "entry_points.txt").write_text(
        "[opentelemetry_instrumentor]\nopenai = stale_openai:StaleInstrumentor\n"
    )
