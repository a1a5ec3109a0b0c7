"""External anchors of a running receiver: carried, told, verified, and never in the way."""

import json
import threading
from zipfile import ZipFile

import boto3
import deps
import pytest
import settings
from moto.server import ThreadedMotoServer

from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.settings import load_anchors
from otel_audit.errors import AnchorUnavailable, ConfigError
from otel_audit.ledger.note import VerifierKey
from otel_audit.ledger.trust import Trust, format_trust
from otel_audit.model import Checkpoint, Filter
from otel_audit.receiver.anchoring import Anchoring
from otel_audit.reports.bundle.check import verify_bundle
from otel_audit.store.anchor_states import AnchorState, read_states
from otel_audit.store.folder import DataFolder
from tests.integration.local_tsa import LocalTsa, serving
from tests.integration.running import run, running, verify
from tests.integration.test_up import spans_request


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    return LocalTsa(tmp_path_factory.mktemp("authorities") / "ours")


@pytest.fixture
def places(tmp_path, tsa, monkeypatch):
    """An anchors file with a bucket and an authority that both answer."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    for bucket in ("anchors", "other"):
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    with serving(tsa) as url:
        yield anchors_file(tmp_path, endpoint, url)
    server.stop()


def anchors_file(folder, endpoint, url, bucket="anchors"):
    path = folder / f"{bucket}.toml"
    path.write_text(
        f'[[anchors]]\nkind = "s3"\nname = "s3"\nbucket = "{bucket}"\nendpoint = "{endpoint}"\nregion = "us-east-1"\n'
        f'retain_days = 30\n\n[[anchors]]\nkind = "rfc3161"\nname = "tsa"\nurl = "{url}"\n'
    )
    return path


def trust_file(data, tsa):
    path = data.parent / "trust.json"
    keys = tuple(VerifierKey.parse(text) for text in DataFolder(data).verifier_keys())
    path.write_text(format_trust(Trust(keys, tsa_roots=(tsa.roots,))))
    return path


def found(report):
    return {finding["code"] for finding in report["findings"]}


def test_checkpoints_reach_the_anchors_and_verify_reads_them_back(tmp_path, places, tsa, shared_engine, monkeypatch):
    """Bucket and authority get the ledger as it is, verify and bundles take both, and another bucket is noticed."""
    data = tmp_path / "data"
    with running(data, "--no-dashboard", "--anchors", str(places)) as up:
        up.export(spans_request(0, 7).SerializeToString())
        done = json.loads(run("anchor", "--now", "--data", str(data), "--json").stdout)
        assert done["size"] == 8
        assert [(each["name"], each["published_size"], each["last_error"]) for each in done["anchors"]] == [
            ("s3", 8, ""),
            ("tsa", 8, ""),
        ]
        assert {state.name: state.published_size for state in read_states(DataFolder(data))} == {"s3": 8, "tsa": 8}
        assert done["digest"] >= 1
        assert "ok" in run("anchor", "--now", "--kind", "s3", "--data", str(data)).stdout
        client = boto3.client("s3", endpoint_url=load_anchors(places)[0].endpoint, region_name="us-east-1")
        listed = client.list_objects_v2(Bucket="anchors", Prefix="digest/")["Contents"]
        assert int(listed[0]["Key"].rpartition("/")[2]) == 1
        assert list((tmp_path / "data-anchors").glob("*/rfc3161/digest-*-tsa.tsr")), "and a token over it"
        up.stop()
    assert {state.lag_entries for state in read_states(DataFolder(data))} == {0}, "a last attempt at the stop"
    trust = str(trust_file(data, tsa))
    report = verify(data, "--anchors-from", str(places), "--trust", trust)
    assert (report["status"], report["findings"]) == ("ok", [])

    run(
        "bundle", "--data", str(data), "--anchors-from", str(places), "--out", str(tmp_path / "b.zip"), "--purpose", "x"
    )
    monkeypatch.setenv("OTEL_AUDIT_ANCHORS_FROM", str(places))
    shared_engine.closed()
    deps.configure(settings.Settings(data=data))
    try:
        by_dashboard, _ = deps.bundle(Filter(), "x")
    finally:
        deps.reset()
    with by_dashboard, ZipFile(tmp_path / "b.zip") as ours, ZipFile(by_dashboard) as theirs:
        records = [
            {name: archive.read(name) for name in archive.namelist() if name.startswith(("anchors/", "digests/"))}
            for archive in (ours, theirs)
        ]
    assert records[0] == records[1], "the dashboard hands out the same evidence as the command"
    read = {name: json.loads(raw) for name, raw in records[0].items() if name.endswith(".json")}
    assert {each["kind"] for name, each in read.items() if name.startswith("anchors/")} == {"file", "s3", "rfc3161"}
    assert len([name for name in read if name.startswith("digests/")]) == 2, "of the folder and of the bucket"
    lock = json.loads(next(raw for name, raw in records[0].items() if name.endswith(".evidence")))
    assert (lock["bucket"], lock["object_lock_mode"]) == ("anchors", "COMPLIANCE")
    assert lock["object_lock_retain_until"] > lock["last_modified"], "until then nobody can remove it"
    report = verify_bundle(tmp_path / "b.zip", trust_file(data, tsa))
    assert (report.status, report.findings) == ("ok", ())

    other = anchors_file(tmp_path, load_anchors(places)[0].endpoint, load_anchors(places)[1].url, "other")
    report = verify(data, "--anchors-from", str(other), "--trust", trust, code=1)
    assert (report["status"], found(report)) == ("tampered", {"ANCHOR_MISSING"})
    for token in (tmp_path / "data-anchors").glob("*/rfc3161/*.tsr"):
        token.unlink()
    report = verify(data, "--anchors-from", str(places), "--trust", trust, code=1)
    assert found(report) == {"ANCHOR_MISSING"}, "an authority that was asked for has attested nothing"


def test_a_slow_anchor_delays_no_acknowledgement_and_a_kill_loses_nothing(tmp_path, places, tsa):
    """While the authority holds its answer back, entries are taken and sealed; after a kill the next start goes on."""
    data = tmp_path / "data"
    tsa.answering.clear()
    tsa.asked.clear()
    with running(data, "--no-dashboard", "--anchors", str(places), "--checkpoint-seconds", "0.1") as up:
        assert tsa.asked.wait(60), "the authority was asked"
        up.export(spans_request(0, 7).SerializeToString())
        assert json.loads(run("checkpoint", "--data", str(data), "--json").stdout)["size"] == 8
        up.kill()
    tsa.answering.set()
    with running(data, "--no-dashboard", "--anchors", str(places)) as up:
        done = json.loads(run("anchor", "--now", "--data", str(data), "--json").stdout)
        assert {each["published_size"] for each in done["anchors"]} == {9}
        up.stop()
    verify(data, "--anchors-from", str(places), "--trust", str(trust_file(data, tsa)))


def test_an_anchor_that_is_down_is_told_and_tried_again(tmp_path, places, tsa):
    """The command says which one failed and exits 1; the other has it; later both have."""
    data = tmp_path / "data"
    tsa.refuse = True
    try:
        with running(data, "--no-dashboard", "--anchors", str(places)) as up:
            shown = run("anchor", "--now", "--data", str(data), code=1).stdout
            assert "FAILED" in shown
            assert "503" in shown
            states = {state.name: state for state in read_states(DataFolder(data))}
            assert states["s3"].lag_entries == 0
            assert states["tsa"].lag_entries > 0
            assert "503" in states["tsa"].last_error
            tsa.refuse = False
            run("anchor", "--now", "--data", str(data))
            up.stop()
    finally:
        tsa.refuse = False


class FlakyAnchor:
    """Refuses ``failures`` times, then takes everything."""

    kind = "rfc3161"
    name = "flaky"

    def __init__(self, failures):
        self.failures = failures
        self.taken = threading.Event()

    def publish(self, publication):
        if self.failures:
            self.failures -= 1
            raise AnchorUnavailable("away")
        self.taken.set()


def test_what_failed_is_tried_again_by_itself(tmp_path):
    """Nobody has to ask: after a back-off the anchor gets what it lacks, and the state says so."""
    folder = DataFolder(tmp_path / "data")
    folder.create("example.com/a")
    (settings,) = load_anchors(_toml(tmp_path, '[[anchors]]\nkind = "rfc3161"\nname = "flaky"\nurl = "http://x"\n'))
    now = iter(range(10**18, 2 * 10**18, 10**12))  # each look at the clock is a quarter of an hour later
    anchor = FlakyAnchor(2)
    anchoring = Anchoring([(settings, anchor)], folder, lambda: next(now))
    anchoring.start()
    anchoring.publish("note", Checkpoint("example.com/a", 5, b"r" * 32))
    assert anchor.taken.wait(60)
    anchoring.stop()
    (state,) = read_states(folder)
    assert (state.published_size, state.lag_entries, state.last_error) == (5, 0, "")
    assert Anchoring([(settings, anchor)], folder).carriers[0].state == state, "a restart goes on"


def test_lag_is_counted_from_the_first_checkpoint_that_is_missing():
    """Seconds and entries, both 0 for an anchor that has everything."""
    state = AnchorState("a", "s3", "", published_size=3, newest_size=10, behind_since_unix_nano=4 * 10**9)
    assert (state.lag_entries, state.lag_seconds(10 * 10**9)) == (7, 6.0)
    assert AnchorState("a", "s3").lag_seconds(10**9) == 0.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[anchors]]\nkind = "gcs"\n', "kind 'gcs' is not known; there are s3, rfc3161"),
        ('[[anchors]]\nkind = "s3"\nretain_days = 3\n', "anchor 1: s3 needs bucket"),
        ('[[anchors]]\nkind = "s3"\nbucket = "b"\nretain_days = 0\n', "retain_days 0 is no number of days"),
        ('[[anchors]]\nkind = "s3"\nbucket = "b"\nretain_days = 1\nsecret = "x"\n', "s3 has no setting 'secret'"),
        ('[[anchors]]\nkind = "rfc3161"\nurl = "https://me:hunter2@tsa"\n', "credentials by the environment"),
        ('[[anchors]]\nkind = "rfc3161"\nurl = "ftp://tsa"\n', "no http or https URL"),
        ('[[anchors]]\nkind = "rfc3161"\nurl = "http://t"\n' * 2, "anchor 2: the name 'rfc3161-t' is taken"),
        ("anchors = 3\n", "expected [[anchors]] tables"),
        ("[[anchors\n", "can not be read as an anchors file"),
    ],
)
def test_an_anchors_file_that_is_wrong_is_named(tmp_path, text, said):
    """What is wrong, in which table, and never a secret."""
    with pytest.raises(ConfigError) as raised:
        load_anchors(_toml(tmp_path, text))
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)


def _toml(folder, text):
    path = folder / "anchors.toml"
    path.write_text(text)
    return path


def test_without_anchors_the_command_says_what_to_do(tmp_path):
    """Nothing is published, and nothing is claimed."""
    data = tmp_path / "data"
    with running(data, "--no-dashboard"):
        assert "--anchors FILE" in run("anchor", "--now", "--data", str(data), code=2).stderr
    assert FileAnchor(tmp_path / "data-anchors").origins()
