"""Each attack of the table: verify names it, the dashboard's Integrity page shows it in plain words, and the check of
a bundle that is made of the attacked store names it, too."""

from __future__ import annotations

import ast
import html
import re
import threading
from pathlib import Path

import deps
import pytest
import streamlit as st
import theme
import trust as words
import viewer
from streamlit.testing.v1 import AppTest

from otel_audit.anchors import AnchorReading
from otel_audit.errors import ConfigError, VerificationError
from otel_audit.ledger.findings import STATUS_CODES, Code
from otel_audit.ledger.trust import Trust, format_trust
from otel_audit.model import Filter
from otel_audit.receiver.checkpoints import Checkpointer
from otel_audit.receiver.sequencer import Sequencer
from otel_audit.reports.bundle.check import verify_bundle
from otel_audit.reports.bundle.evidence import Collector
from otel_audit.reports.bundle.writer import Making, write_bundle
from otel_audit.reports.verification import verify_database
from otel_audit.store.reader import Reader
from otel_audit.store.writer import LedgerWriter
from tests.attacks.attacks import ATTACKS, NEXT, NOT_IN_IT, NOT_MADE, OTHER, Scene, rotated
from tests.attacks.ledger import SIGNER, START, TABLES, event

ROOT = Path(__file__).parents[2]
# Codes that need more than the ledger under attack: which test does.
ELSEWHERE = {
    Code.ERASED: "tests/integration/test_erasure.py::test_nobody_finds_what_was_erased",
    Code.FALSE_TOMBSTONE: "tests/integration/test_erasure.py::test_what_a_hostile_operator_tries",
    Code.EXPIRED: "tests/integration/test_retention.py::test_what_expired_is_gone_and_explained",
    Code.TEXTS_NOT_CHECKED: "tests/integration/test_verify_copy.py::test_a_copy_of_the_data_folder_alone",
    Code.WITNESS_QUORUM_MISSING: "tests/integration/test_witness.py::test_two_organisations_watch_each_other",
    Code.WITNESS_PENDING: "tests/unit/test_quorum.py::test_only_what_witnesses_just_confirmed_is_pending",
    Code.WITNESS_DISPUTES: "tests/integration/test_witness.py::test_a_refusal_that_nobody_proves_is_no_alarm",
    Code.ANCHOR_MISSING: "tests/integration/test_s3_anchor.py::test_an_object_behind_a_delete_marker_is_named",
    Code.ANCHOR_OVERWRITTEN: "tests/integration/test_s3_anchor.py::test_an_object_that_was_overwritten_is_named",
    Code.ANCHOR_UNLOCKED: "tests/integration/test_s3_anchor.py::test_a_lock_that_its_owner_can_lift_is_named",
    Code.ANCHOR_MOVED: "tests/integration/test_s3_anchor.py::test_a_note_under_another_key_is_named",
    Code.TSA_INVALID: "tests/integration/test_rfc3161_anchor.py::test_a_token_that_was_altered_is_named",
    Code.WRONG_TSA: "tests/integration/test_rfc3161_anchor.py::"
    "test_a_token_of_an_authority_that_is_not_trusted_is_named",
    Code.OTS_PENDING: "tests/integration/test_opentimestamps_anchor.py::"
    "test_a_block_that_nobody_vouches_for_attests_nothing",
    Code.OTS_INVALID: "tests/integration/test_opentimestamps_anchor.py::test_a_proof_that_does_not_hold_is_named",
    Code.IMPRINT_MISMATCH: "tests/integration/test_rfc3161_anchor.py::test_a_token_for_another_note_is_named",
}


class Page:
    """The Integrity page over the ledger under attack, opened once."""

    def __init__(self):
        self.report = None
        self._app = AppTest.from_file(str(theme.HERE / "app.py"), default_timeout=60)
        self._app.run()
        self._app.switch_page("app_pages/integrity.py").run()

    def shows(self, report):
        """What the page says after Verify now."""
        self.report = report
        self._app.button(key="verify").click().run()
        assert not self._app.exception
        return " ".join(str(each.proto.body) for each in self._app.get("html"))


@pytest.fixture(scope="module")
def page(engine):
    st.cache_data.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deps, "database", lambda: engine.database)
        patch.setattr(deps, "reader", lambda: Reader(engine.database))
        patch.setattr(viewer, "record", lambda *args, **kwargs: None)
        patch.setattr(deps, "verify", lambda progress: shown.report)
        shown = Page()
        yield shown


def verified(scene):
    return verify_database(
        scene.store.database,
        trust=scene.trust,
        anchors=scene.anchors,
        expected=scene.expected,
        times=scene.times,
    )


def bundled(scene, folder):
    """The codes that the check of a bundle of everything there is names; NOT_MADE when there is none."""
    path, trust = folder / "bundle.zip", folder / "trust.json"
    trust.write_text(format_trust(scene.trust))
    try:
        with path.open("wb") as out:
            collector = Collector(scene.store.database, Filter(), scene.anchors or AnchorReading())
            write_bundle(out, collector, Making(START, "u_9", "attack", "0"), signer=SIGNER)
    except (ConfigError, VerificationError):
        return NOT_MADE
    report = verify_bundle(path, trust)
    codes = {each.code for each in report.findings}
    assert (report.status == "tampered") == bool(codes - STATUS_CODES)
    return codes


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name.replace(" ", "_"))
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # an entry that is stored twice
def test_an_attack_is_named(store, anchors, built, page, attack, tmp_path):
    """The code, the first bad seq, the column and its values where they can be known; red on the page."""
    scene = Scene(store, built, anchors)
    attack.act(scene)
    report = verified(scene)
    found = [each for each in report.findings if each.code == attack.code]
    assert found, [(str(each.code), each.seq, each.detail) for each in report.findings]
    assert report.status == attack.verdict
    assert (attack.seq, attack.column) in [(each.seq, each.column) for each in found]
    details = " ".join(each.detail for each in found if (each.seq, each.column) == (attack.seq, attack.column))
    assert all(text in details for text in attack.told), details
    unexpected = {each.code for each in report.findings} - STATUS_CODES - attack.others - {attack.code}
    assert not unexpected
    codes = bundled(scene, tmp_path)
    if attack.bundled in {NOT_MADE, NOT_IN_IT}:
        assert codes == NOT_MADE if attack.bundled == NOT_MADE else codes <= STATUS_CODES
    else:
        assert (attack.bundled or attack.code) in codes
    shown = page.shows(report)
    assert html.escape(words.meaning(attack.code)) in shown
    assert f"{attack.code} ·" in shown
    assert ("Something was altered." in shown) == (attack.verdict == "tampered")


def test_an_untouched_ledger_is_no_finding(store, anchors, built, page):
    """What the attacks are done to is in order before, and the page is green."""
    report = verified(Scene(store, built, anchors))
    assert (report.status, [each.code for each in report.findings]) == ("ok", [Code.UNANCHORED_TAIL])
    assert "Nothing was altered:" in page.shows(report)


def test_a_rotated_key_is_followed(store, anchors, built):
    """A verifier that holds the first key accepts what the next one signs, after its rotation."""
    scene = Scene(store, built, None)
    rotated(SIGNER, NEXT, lambda size: NEXT if size > 620 else SIGNER)(scene)
    report = verified(scene)
    assert (report.status, report.ledgers[0].sealed_size) == ("ok", 700)


def test_many_threads_drop_nothing(store):
    """Events from many threads at once are one chain, with all of them in it."""
    writer = LedgerWriter(store.database, OTHER.name)
    sequencer = Sequencer(writer, Checkpointer(writer, OTHER, []))
    sequencer.start()
    receipts = []

    def send(first):
        for seq in range(first, first + 5):
            made = event(seq)
            made.columns["event_id"] = f"thread-{seq}"
            receipts.extend(sequencer.submit([made]).result(60))

    threads = [threading.Thread(target=send, args=(first,)) for first in range(0, 40, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sequencer.close()
    store.touched |= set(TABLES)
    report = verify_database(store.database, trust=Trust((OTHER.verifier_key, SIGNER.verifier_key)), anchors=None)
    (ledger,) = [each for each in report.ledgers if each.origin == OTHER.name]
    assert sorted(receipt.seq for receipt in receipts) == list(range(40))
    assert (ledger.status, ledger.size, ledger.sealed_size) == ("ok", 40, 40)


def emitted():
    """The codes that something in the source can report."""
    files = [path for path in (ROOT / "src").rglob("*.py") if path.name != "findings.py"]
    text = "\n".join(path.read_text() for path in files)
    return {code for code in Code if re.search(rf"\bCode\.{code}\b", text)}


def test_every_code_has_a_test():
    """A code is in the table of attacks, or the test that covers it is listed here, and exists."""
    covered = {attack.code for attack in ATTACKS} | {code for attack in ATTACKS for code in attack.others}
    assert emitted() - covered - ELSEWHERE.keys() == set(), "attack it, or list the test that does"
    for code in ELSEWHERE.keys() & emitted():
        place = ELSEWHERE[code]
        path, name = place.split("::")
        functions = {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if hasattr(node, "name")}
        assert name in functions, f"{code}: {place}"
        assert str(code) in (ROOT / path).read_text(), f"{place} does not mention {code}"
