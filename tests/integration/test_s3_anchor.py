"""The S3 anchor against a real S3 API over HTTP: what is locked stays, and what is not as it was is named."""

import datetime

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from otel_audit.anchors import Publication
from otel_audit.anchors.file import FileAnchor
from otel_audit.anchors.s3 import S3Anchor
from otel_audit.anchors.settings import parse_anchors
from otel_audit.errors import AnchorConflict, AnchorUnavailable
from otel_audit.ledger.checkpoint import sign_checkpoint
from otel_audit.ledger.note import Signer
from otel_audit.model import Checkpoint

ORIGIN = "audit.example.com/receiver-0"
OTHER = "audit.example.com/receiver-1"


@pytest.fixture(scope="module")
def server():
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch, request):
    """A bucket with Object Lock, seen as somebody who owns it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    client = boto3.client("s3", endpoint_url=server, region_name="us-east-1")
    name = f"b{abs(hash(request.node.name))}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return client, name


@pytest.fixture
def anchor(server, bucket, tmp_path):
    return opened(server, bucket[1], tmp_path)


def opened(server, name, folder, **more):
    table = {"kind": "s3", "name": "s3", "bucket": name, "endpoint": server, "region": "us-east-1", "retain_days": 30}
    (settings,) = parse_anchors([{**table, **more}], "test")
    return S3Anchor(settings, FileAnchor(folder / "anchors"))


def publication(size, root=b"r", origin=ORIGIN):
    note = sign_checkpoint(Checkpoint(origin, size, root * 32), [Signer(origin, b"s" * 32)])
    return Publication(note, origin, size)


def key_of(client, name):
    return client.list_object_versions(Bucket=name)["Versions"][0]["Key"]


def codes(anchor):
    return {str(finding.code) for finding in anchor.read(None, [anchor._records]).findings}


def put(client, name, key, body, *, days=30, mode="COMPLIANCE"):
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    client.put_object(Bucket=name, Key=key, Body=body, ObjectLockMode=mode, ObjectLockRetainUntilDate=until)


def test_what_is_published_is_read_back_with_the_time_that_s3_attests(anchor):
    """Each note comes back with where it is, and its time counts because nobody could have replaced it."""
    anchor.publish(publication(3))
    anchor.publish(publication(700, b"s"))
    reading = anchor.read([ORIGIN])
    assert [each.note for each in reading.checkpoints] == [publication(3).note, publication(700, b"s").note]
    assert reading.findings == ()
    assert all(each.attested_unix_nano for each in reading.checkpoints)
    assert {each.kind for each in reading.checkpoints} == {"s3"}
    assert anchor.read([OTHER]).checkpoints == ()


def test_a_locked_version_can_not_be_deleted_or_put_again(anchor, bucket):
    """Not even with the owner's credentials, and not by us."""
    client, name = bucket
    anchor.publish(publication(3))
    key = key_of(client, name)
    version = client.list_object_versions(Bucket=name)["Versions"][0]["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=name, Key=key, VersionId=version)
    with pytest.raises(AnchorConflict, match="another note"):
        anchor.publish(publication(3, b"x"))


def test_publishing_again_after_a_crash_is_success(anchor):
    """A crash between the upload and our record of it costs nothing: the same note is there."""
    anchor.publish(publication(3))
    anchor.publish(publication(3))
    assert len(anchor.read().checkpoints) == 1
    assert codes(anchor) == set()


def test_an_object_that_was_overwritten_is_named(anchor, bucket):
    """A second version is seen, and the first still speaks."""
    client, name = bucket
    anchor.publish(publication(3))
    put(client, name, key_of(client, name), publication(3, b"x").note.encode())
    assert codes(anchor) == {"ANCHOR_OVERWRITTEN"}
    assert publication(3).note in [each.note for each in anchor.read().checkpoints]


def test_an_object_behind_a_delete_marker_is_named(anchor, bucket):
    """Hiding is not deleting: the version is still read."""
    client, name = bucket
    anchor.publish(publication(3))
    client.delete_object(Bucket=name, Key=key_of(client, name))
    assert codes(anchor) == {"ANCHOR_MISSING"}
    assert len(anchor.read().checkpoints) == 1


def test_a_shortened_lock_is_named_and_attests_nothing(anchor, bucket):
    """moto lets the owner shorten it, as no S3 should: then the time of the object proves nothing."""
    client, name = bucket
    anchor.publish(publication(3))
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    retention = {"Mode": "COMPLIANCE", "RetainUntilDate": soon}
    client.put_object_retention(Bucket=name, Key=key_of(client, name), Retention=retention)
    assert codes(anchor) == {"ANCHOR_UNLOCKED"}
    assert anchor.read().checkpoints[0].attested_unix_nano is None


def test_a_lock_that_its_owner_can_lift_is_named(anchor, bucket):
    """GOVERNANCE is not COMPLIANCE."""
    client, name = bucket
    anchor.publish(publication(3))
    key = key_of(client, name).replace("0003", "0005")
    put(client, name, key, publication(5).note.encode(), mode="GOVERNANCE")
    assert codes(anchor) == {"ANCHOR_UNLOCKED"}


def test_a_note_under_another_key_is_named(anchor, bucket):
    """Under another size, and under the key of another ledger."""
    client, name = bucket
    anchor.publish(publication(3))
    key = key_of(client, name)
    put(client, name, key.replace("0003", "0004"), publication(3).note.encode())
    assert codes(anchor) == {"ANCHOR_MOVED"}
    assert len(anchor.read().checkpoints) == 1


def test_a_bucket_that_was_emptied_or_replaced_is_named(anchor, bucket, server, tmp_path):
    """Our own records say what has to be there; another bucket does not have it."""
    client, name = bucket
    anchor.publish(publication(3))
    client.create_bucket(Bucket=f"{name}-other", ObjectLockEnabledForBucket=True)
    assert codes(opened(server, f"{name}-other", tmp_path)) == {"ANCHOR_MISSING"}


def test_a_bucket_that_is_not_there_is_told_without_credentials(server, bucket, tmp_path):
    """The error names the anchor, the place and what S3 said, and no secret."""
    missing = opened(server, "no-such-bucket", tmp_path)
    for failing in (lambda: missing.publish(publication(3)), missing.read):
        with pytest.raises(AnchorUnavailable, match=r"no-such-bucket.*NoSuchBucket") as raised:
            failing()
        assert "test-secret" not in str(raised.value)


def test_a_server_that_is_away_is_told():
    """A refused connection is an anchor that has to be tried again."""
    (settings,) = parse_anchors(
        [{"kind": "s3", "bucket": "b", "endpoint": "http://127.0.0.1:9", "region": "x", "retain_days": 1}], "test"
    )
    with pytest.raises(AnchorUnavailable, match=r"127\.0\.0\.1:9"):
        S3Anchor(settings, FileAnchor("unused")).publish(publication(3))
