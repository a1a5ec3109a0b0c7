"""Compliance reports over a real store: states, figures and their events, the signed zip, and the command."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_audit.cli import cli
from otel_audit.errors import ConfigError, VerificationError
from otel_audit.ledger.note import Signer, UnknownKey
from otel_audit.ledger.retention import Expiry
from otel_audit.ledger.statement import sign_statement
from otel_audit.ledger.trust import Trust, format_trust
from otel_audit.model import Filter
from otel_audit.reports.bundle.writer import Making
from otel_audit.reports.compliance.report import Beside, Compliance, State, build
from otel_audit.reports.compliance.sealed import verify_report, write_report
from otel_audit.reports.compliance.standard import FACTS, KINDS, STANDARDS, standard
from otel_audit.semconv import AUDIT_RETENTION_STATEMENT
from otel_audit.store.database import Database, open_for_reading
from otel_audit.store.reader import Reader
from otel_audit.store.recheck_state import RecheckState
from tests.attacks.ledger import SIGNER, START, Built, Store, event
from tests.conftest import SharedEngine
from tests.integration.ledger_rows import T0, LedgerRows
from tests.integration.running import running

_DAY = 86_400
_MAKING = Making(T0, "u_9", "audit <2026>", "0.1.0")
_OTHER = Signer("test/other", b"\5" * 32)


def _write(database: Database) -> None:
    """Two services, a review against the AI, an access, an erasure, and one event of the week after."""
    ledger = LedgerRows()
    ledger.add("ai_call", service="loans", task_id="loan-1")
    ledger.add("ai_call", at=1, service="mail", status="error")
    ledger.add("review", at=2, service="loans", task_id="loan-1", decision="rejected", is_override=True,
               active_seconds=42.0, reviewer_id="u_1")  # fmt: skip
    ledger.add("access", at=3, actor_id="u_1", attributes=[("audit.action", "EXPORT")])
    ledger.add("erasure", at=4)
    ledger.add("escalation", at=8 * _DAY, service="loans")
    ledger.write(database)


def _report(
    database: Database, code: str, days: float = 7, beside: Beside | None = None, **narrowed: str
) -> Compliance:
    where = Filter(since=T0, until=T0 + int(days * _DAY * 1e9), **{name: (value,) for name, value in narrowed.items()})
    return build(database, standard(code), where, T0 + 30 * _DAY * 10**9, beside or Beside())


def _states(report: Compliance) -> dict[str, State]:
    return {each.control.reference: each.state for each in report.answers}


def _counts(report: Compliance) -> dict[str, int]:
    return {figure.code: figure.events for answer in report.answers for figure in answer.figures}


@pytest.mark.parametrize("code", STANDARDS)
def test_a_standard_names_only_what_is_counted(code: str) -> None:
    """Every control says what it asks and its limits, and names figures and facts that there are."""
    for control in standard(code).controls:
        assert control.asks
        assert control.limits
        assert {*control.evidence, *control.also} <= KINDS.keys()
        assert set(control.facts) <= set(FACTS)
        assert control.evidence or not control.also  # what is not recorded has no figure


@pytest.mark.parametrize("code", STANDARDS)
def test_each_figure_is_the_number_of_events_that_its_filter_finds(database: Database, code: str) -> None:
    """Whoever follows a figure finds as many events as it says."""
    _write(database)
    reader = Reader(database)
    figures = [figure for answer in _report(database, code).answers for figure in answer.figures]
    found = [sum(map(len, reader.stream(figure.where))) for figure in figures]
    assert [figure.events for figure in figures] == found


def test_a_control_has_evidence_none_in_this_period_or_is_not_recorded(database: Database) -> None:
    """Events of another period are no evidence, and what a text asks beyond the trail is named as such."""
    _write(database)
    states = _states(_report(database, "eu-ai-act"))
    assert states["Art. 14"] == State.EVIDENCE
    assert states["Art. 73"] == states["Art. 18"] == State.NOT_RECORDED
    later = replace(Filter(), since=T0 + 7 * _DAY * 10**9)
    report = build(database, standard("gdpr"), later, T0 + 30 * _DAY * 10**9, Beside())
    assert _states(report)["Art. 17"] == State.NONE
    assert _states(report)["Art. 22"] == State.EVIDENCE  # the escalation


def test_a_service_narrows_what_it_sent_and_nothing_that_the_trail_records_of_itself(database: Database) -> None:
    """An erasure or an access is of the whole trail: a report on one service still counts it."""
    _write(database)
    report = _report(database, "gdpr", service="mail")
    assert (_counts(report)["reviews"], _counts(report)["erasures"], _counts(report)["accesses"]) == (0, 1, 1)
    assert report.narrowed == "service mail"
    assert _counts(_report(database, "eu-ai-act", service="mail"))["failed_calls"] == 1


def test_a_report_is_frozen_where_it_began(database: Database) -> None:
    """What arrives after the sizes that the report was asked for is not in its figures."""
    _write(database)
    where = Filter(sizes=(("test/reading", 2),))
    report = build(database, standard("eu-ai-act"), where, T0 + 30 * _DAY * 10**9, Beside())
    assert (report.events, _counts(report)["ai_calls"], _counts(report)["reviews"]) == (2, 2, 0)


def test_a_filter_by_anything_else_is_refused(database: Database) -> None:
    """A report on a part that it does not name would look whole."""
    with pytest.raises(ConfigError, match="not by decision"):
        build(database, standard("soc2"), Filter(decision=("approved",)), T0, Beside())


def test_an_empty_ledger_has_no_evidence(database: Database) -> None:
    """Without an entry nothing is evidence, and no figure is made up."""
    report = _report(database, "hipaa")
    assert set(_states(report).values()) == {State.NONE}
    assert not any(_counts(report).values())


def test_only_entries_under_a_checkpoint_count_as_sealed(database: Database) -> None:
    """Entries after the newest checkpoint are not evidence of integrity; an unchecked ledger is told."""
    built = Built().extend(event(seq) for seq in range(20))
    store = Store(database)
    store.insert_entries(built)
    store.insert_checkpoints(built, sizes=(8, 15))
    report = build(database, standard("hipaa"), Filter(since=START), START + 30 * _DAY * 10**9, Beside())
    assert (_counts(report)["events"], _counts(report)["sealed"]) == (20, 15)
    with database.client() as client:
        client.command("TRUNCATE TABLE audit_checkpoints")
    bare = build(database, standard("hipaa"), Filter(since=START), START + 30 * _DAY * 10**9, Beside())
    assert (_counts(bare)["events"], _counts(bare)["sealed"]) == (20, 0)
    assert any(note.is_warning and "no checkpoint" in note.text for each in bare.answers for note in each.notes)


def test_what_stands_in_the_way_is_a_warning(database: Database) -> None:
    """An altered ledger, an overdue week, and entries removed before the text's minimum are told where they matter."""
    ledger = LedgerRows()
    ledger.add("ai_call")
    expiry = Expiry("test/reading", "default", 202601, ((0, 9),), 0, 0, 90 * _DAY, T0, "00" * 32, "")
    note = sign_statement("retention", expiry.to_fields(), [SIGNER])
    ledger.add("retention", at=1, record_kind="internal", attributes=[(AUDIT_RETENTION_STATEMENT, note)])
    ledger.write(database)
    altered = Beside(self_check=RecheckState(status="tampered", codes=("ROW_MODIFIED",), checked_unix_nano=T0))
    warned = {
        each.control.reference: " ".join(note.text for note in each.notes if note.is_warning)
        for code in ("eu-ai-act", "hipaa")
        for each in _report(database, code, beside=altered).answers
    }
    assert "after 90 days at the least, which is shorter" in warned["Art. 19(1), Art. 26(6)"]
    assert "Overdue: 2026-W45" in warned["164.308(a)(1)(ii)(D)"]
    assert "ROW_MODIFIED" in warned["164.312(c)(2)"]


def test_the_zip_is_self_contained_and_escapes_what_came_from_data(database: Database) -> None:
    """The page needs no script and nothing from elsewhere, and states the active time with n."""
    _write(database)
    with zipfile.ZipFile(io.BytesIO(write_report(_report(database, "eu-ai-act"), _MAKING, SIGNER))) as archive:
        page, document = archive.read("report.html").decode(), json.loads(archive.read("report.json"))
    assert "audit &lt;2026&gt;" in page
    assert not any(word in page for word in ("<script", "http://", "https://", "<2026>"))
    assert "median 42 s, 9 in 10 at most 42 s (n = 1)" in page
    figures = [each for control in document["controls"] for each in control["figures"]]
    overrides = next(each for each in figures if each["code"] == "overrides")
    assert (overrides["events"], overrides["filter"]["figure"]) == (1, "overrides")


def _packed(raw: bytes, **changed: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, changed.get(name.split(".")[1], old.read(name)))
    return out.getvalue()


def test_a_report_that_was_altered_or_signed_by_another_does_not_verify(database: Database, tmp_path: Path) -> None:
    """One changed digit, another file, an unknown or a compromised key: each is refused, and the whole one passes."""
    _write(database)
    raw = write_report(_report(database, "soc2"), _MAKING, SIGNER)
    trust, path = Trust((SIGNER.verifier_key,)), tmp_path / "soc2.zip"
    path.write_bytes(raw)
    assert verify_report(path, trust)["standard"]["code"] == "soc2"
    with zipfile.ZipFile(path) as archive:
        html, document = archive.read("report.html"), archive.read("report.json")
    for changed in ({"html": html.replace(b"<b>1</b>", b"<b>9</b>", 1)}, {"json": document.replace(b"1", b"2", 1)}):
        path.write_bytes(_packed(raw, **changed))
        with pytest.raises(VerificationError, match="is not the file that was signed"):
            verify_report(path, trust)
    path.write_bytes(raw)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.html", "x")
    with pytest.raises(VerificationError, match=r"holds .*more\.html"):
        verify_report(path, trust)
    path.write_bytes(write_report(_report(database, "soc2"), _MAKING, _OTHER))
    with pytest.raises(UnknownKey):
        verify_report(path, trust)
    path.write_bytes(raw)
    key = f"{SIGNER.verifier_key.name}+{SIGNER.verifier_key.key_id.hex()}"
    with pytest.raises(VerificationError, match="somebody else may have had"):
        verify_report(path, replace(trust, compromised_keys={key: T0 + 10**18}))
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ConfigError, match="can not be read as the zip of a report"):
        verify_report(path, trust)


def _invoke(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(cli, [*map(str, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_the_command_makes_a_report_records_it_and_checks_it(shared_engine: SharedEngine, tmp_path: Path) -> None:
    """``report make`` beside a running receiver is an access with its purpose; ``report verify`` exits 0, then 1."""
    shared_engine.closed()
    data, out, trust = tmp_path / "data", tmp_path / "act.zip", tmp_path / "trust.json"
    made = ("report", "make", "--data", data, "--standard", "hipaa", "--out", out, "--purpose")
    with running(data, "--no-dashboard"):
        assert "HIPAA: there is evidence for" in _invoke(*made, "audit 2026", "--verify")
        with open_for_reading(data, None) as database:
            ((access,),) = Reader(database).stream(Filter(event_type=("access",)))
    assert (access["attributes"]["audit.target.id"], access["content"]["rationale"]) == ("hipaa.zip", "audit 2026")
    trust.write_text(_invoke("keys", "export", "--data", data))
    assert _invoke("report", "verify", out, "--trust", trust).startswith("OK:")
    with zipfile.ZipFile(out) as archive:
        document = json.loads(archive.read("report.json"))
    assert document["purpose"] == "audit 2026"
    assert document["verification"]["status"] == "ok"
    assert document["ledgers"][0]["anchors"][0]["kind"] == "file"
    trust.write_text(format_trust(Trust((_OTHER.verifier_key,))))
    assert "ALTERED or not to be trusted" in _invoke("report", "verify", out, "--trust", trust, code=1)
    assert isinstance(CliRunner().invoke(cli, [*map(str, made), " "]).exception, ConfigError)
