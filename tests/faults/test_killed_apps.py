"""kill -9 of an application between its call and the export."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.integration.fake_provider import FakeProvider
from tests.integration.instrumented import APPS, PYTHON, App, environment, make_environment
from tests.integration.running import exported, running

KILLS = 50


def test_every_call_that_returned_is_in_the_trail_once(tmp_path: Path, spool_folder: Path) -> None:
    """Fifty processes are killed in the middle of their work; what they were answered is all there, and once."""
    site = make_environment(tmp_path / "sites", "opentelemetry-instrumentation-genai-openai")
    data = tmp_path / "data"
    with FakeProvider() as provider, running(data, "--no-dashboard") as receiver:
        env = environment("killed", receiver.endpoint, site, PROVIDER=provider.base_url)
        with App([PYTHON, str(APPS / "killed_app.py"), str(KILLS)], env) as app:
            said = app.wait_for("called")
            app.end()  # the next start: it delivers what the killed ones left behind
        rows = exported(data, "--service", "killed")
    told = re.findall(r"chatcmpl-\w+", said)
    assert len(told) >= KILLS
    stored = Counter(row["response_id"] for row in rows if row["event_type"] == "ai_call")
    assert set(told) <= stored.keys()
    assert set(stored.values()) == {1}
    assert list(spool_folder.rglob("*.spool")) == []
