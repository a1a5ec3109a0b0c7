"""Saved views: one's own and shared ones, kept whole, for one owner at a time, without personal data."""

import json
import subprocess
import sys

import pytest

from otel_audit.errors import ConfigError
from otel_audit.reports import saved_views
from otel_audit.reports.saved_views import ViewFile, personal_data

QUERY = (("q", "payslip"), ("type", "Review"), ("type", "Escalation"), ("cols", "Time"))


@pytest.fixture
def views(tmp_path):
    return ViewFile(tmp_path / "views" / "views.json")


def save(views, owner, name, *, is_shared=False, query=QUERY):
    return views.save(owner, name, query, is_shared=is_shared, now_unix_nano=7)


def test_own_and_shared_views_are_seen(views):
    """One sees one's own views and what others share, never what they keep to themselves; all of it as it was saved."""
    mine = save(views, "ana", "Rejected")
    shared = save(views, "ben", "All of it", is_shared=True)
    save(views, "ben", "Private")
    assert views.seen_by("ana") == [mine, shared]
    assert mine.query == QUERY
    assert [each.name for each in views.seen_by("cleo")] == ["All of it"]
    assert views.path.stat().st_mode & 0o777 == 0o600
    assert views.path.parent.stat().st_mode & 0o777 == 0o700


def test_only_the_owner_deletes_and_nothing_is_left(views):
    """A shared view can be deleted by its owner alone, and then nothing of it is in the folder."""
    shared = save(views, "ben", "All of it", is_shared=True)
    assert views.delete("ana", shared.id) is None
    assert views.delete("ben", shared.id) == shared
    assert views.delete("ben", shared.id) is None
    assert views.seen_by("ben") == []
    assert all(b"All of it" not in path.read_bytes() for path in views.path.parent.iterdir())


def test_a_view_of_the_same_name_is_replaced(views):
    """Saving under one's own name again replaces that view, and nobody else's."""
    save(views, "ben", "Mine", is_shared=True)
    save(views, "ana", "Mine")
    again = save(views, "ana", "  Mine ", query=(("q", "other"),))
    assert [(each.owner, each.query) for each in views.seen_by("ana")] == [("ana", again.query), ("ben", QUERY)]


@pytest.mark.parametrize("text", ["jane.roe@example.com", "call +49 30 901820 now", "DE89370400440532013000"])
def test_personal_data_is_refused(views, text):
    """What the capture policy would mask can be in no saved view: neither in its words nor in its name."""
    for name, query in ((text, QUERY), ("Fine", (("q", text),)), ("Fine", (("reviewer", text),))):
        with pytest.raises(ConfigError, match="personal data"):
            save(views, "ana", name, query=query)
    assert not views.path.exists()


def test_marks_and_names_by_the_policy_in_force(views, tmp_path, monkeypatch):
    """A mark of masked data is none; a name is refused where the operator's policy lists it, in any capture mode."""
    assert personal_data(["[email:k802b6d:f31507c0cf751baa155d]", "payslip", "TSK-2026110380"]) == []
    policy = tmp_path / "policy.toml"
    policy.write_text('mode = "hash"\nnames = ["Jane Roe"]\n', encoding="utf-8")
    monkeypatch.setenv("OTEL_AUDIT_CAPTURE_POLICY", str(policy))
    assert personal_data(["all of Jane Roe"]) == ["name"]
    assert personal_data(["payslip"]) == []


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "two\nlines", "\u202eevil"])
def test_names_that_can_not_be(views, name):
    """A name is printable and short."""
    with pytest.raises(ConfigError, match="a name of 1 to 80"):
        save(views, "ana", name)


def test_limits_are_told(views, monkeypatch):
    """Too long a filter and too many views are refused with a sentence, and nothing that is there is lost."""
    with pytest.raises(ConfigError, match="too long"):
        save(views, "ana", "Long", query=(("q", "x" * 9000),))
    monkeypatch.setattr(saved_views, "MAX_VIEWS", 2)
    save(views, "ana", "1")
    save(views, "ana", "2")
    with pytest.raises(ConfigError, match="delete one"):
        save(views, "ana", "3")
    save(views, "ana", "2")
    assert len(views.seen_by("ana")) == 2


@pytest.mark.parametrize("text", ["", "{}", '{"views": [{}]}', '{"views": [{"id": 1}]}', "[1]"])
def test_a_damaged_file_is_an_error_and_stays_as_it_is(views, text):
    """A file that is none of ours is told by its path, and never written over."""
    views.path.parent.mkdir(mode=0o700)
    views.path.write_text(text, encoding="utf-8")
    views.path.chmod(0o600)
    for attempt in (lambda: views.seen_by("ana"), lambda: save(views, "ana", "New"), lambda: views.delete("ana", "x")):
        with pytest.raises(ConfigError, match=r"views\.json"):
            attempt()
    assert views.path.read_text(encoding="utf-8") == text


def test_several_dashboards_lose_nothing(views):
    """Processes that save at once each keep all of their views."""
    code = (
        "import sys; from pathlib import Path; from otel_audit.reports.saved_views import ViewFile\n"
        "for n in range(10):\n"
        "    ViewFile(Path(sys.argv[1])).save(sys.argv[2], str(n), [('q', 'x')], is_shared=True, now_unix_nano=1)"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(views.path), who]) for who in ("ana", "ben", "cleo")]
    assert [each.wait() for each in started] == [0, 0, 0]
    assert len(views.seen_by("ana")) == 30
    assert len(json.loads(views.path.read_text(encoding="utf-8"))["views"]) == 30
