"""Evidence bundles of real ledgers: after an erasure, after a key rotation, with timestamps and witnesses."""

import json

import pytest

from otel_audit.ledger.findings import Code
from otel_audit.receiver.erasure import ErasureRequest
from otel_audit.reports.bundle import verify_bundle as program
from tests.integration.running import run
from tests.integration.test_bundle import checked, codes, frames_of, packed, sealed_again, unpacked
from tests.integration.test_erasure import REQUEST, event, receiver


def seal(opened):
    opened.ledger.sequencer.perform(opened.ledger.checkpointer.seal).result()


def bundled(data, out, *options):
    run("bundle", "--data", str(data), "--out", str(out), "--purpose", "test", *options)
    return unpacked(out.read_bytes())


@pytest.fixture
def trust(tmp_path):
    return tmp_path / "trust.json"


def export_trust(data, trust):
    trust.write_text(run("keys", "export", "--data", str(data)).stdout)


def test_a_real_erasure_is_told_and_its_absence_named(data_folder, tmp_path, trust):
    """A bundle made after `erase` says who, why and when; without the erasure's entry the text is missing."""
    data = data_folder.path
    opened = receiver(data)
    events = [event(1, "plover one", subject_ref="case-88", task_id="t"), event(2, "heron", task_id="u")]
    opened.ledger.sequencer.submit(events).result()
    opened.ledger.eraser.erase(ErasureRequest(subject="case-88", **REQUEST))
    seal(opened)
    opened.stop()
    export_trust(data, trust)
    for options in (("--task", "t"), ()):  # the erasure's entry explains the others, or is one of them
        files = bundled(data, tmp_path / f"b{len(options)}.zip", *options)
        assert not any(b"plover" in raw for raw in files.values())
        report = checked(tmp_path / f"b{len(options)}.zip", trust)
        assert report.status == "ok", report
        (told,) = [each for each in report.findings if each.code is Code.ERASED]
        assert "because of GDPR Art. 17(1)(a); dpo_1 asked, legal_4 approved" in told.detail
        assert told.column == "input"
    files = unpacked((tmp_path / "b2.zip").read_bytes())
    files["related.bin"] = frames_of(files["related.bin"], lambda it: it.clear())
    assert (Code.CONTENT_MISSING, told.seq, "input") in codes(
        checked(packed(tmp_path / "removed.zip", sealed_again(files)), trust)
    )


def test_the_last_entry_of_a_range_is_erased_and_the_next_is_not():
    """The ranges of a statement take in both ends, of an entry alone, too."""
    fields = {"origin": "o", "seqs": [[3, 5], [7, 7]], "names": ["input"], "basis": "b", "requested_by": "x"}
    fields |= {"approved_by": "y", "at": 0, "scope": "seqs", "scope_ref": ""}
    note = f"otel-audit/erasure/v1\n{json.dumps(fields)}\n\n"
    erasure = program.Erasure(note, {"origin": "o", "seq": 9})
    assert [seq for seq in range(10) if erasure.covers(seq, "input")] == [3, 4, 5, 7]
    assert not erasure.covers(4, "output")
    for wrong in ({"seqs": [[5, 3]]}, {"seqs": [[3, 9]]}, {"approved_by": "x"}, {"origin": "p"}, {"seqs": []}):
        note = f"otel-audit/erasure/v1\n{json.dumps(fields | wrong)}\n\n"
        with pytest.raises(program.Broken):
            program.Erasure(note, {"origin": "o", "seq": 9})
