"""References to uploaded content: read only where it is allowed, hashed, and otherwise marked as unverified."""

from __future__ import annotations

import datetime
import hashlib
import http.server
import os
import ssl
import threading

import pytest

from otel_audit.model import AuditEvent
from otel_audit.receiver.references import HASH_PREFIX, References

KEY = "gen_ai.input.messages_ref"
TEXT = b'[{"role":"user"}]'
SHA = hashlib.sha256(TEXT).hexdigest()


def checked(references: References, uri: str) -> tuple[list[str], str | None]:
    """Remarks of an event that points to ``uri``, and the hash that was kept."""
    event = AuditEvent({"attributes": [(KEY, uri)]}, {})
    references.check([event])
    return list(event.columns["remarks"]), event.content.get(HASH_PREFIX + KEY)


def test_nothing_is_read_by_default(tmp_path):
    """Without a prefix in the policy a reference is only marked as unverified."""
    (tmp_path / "a.json").write_bytes(TEXT)
    assert checked(References([]), (tmp_path / "a.json").as_uri()) == (["reference_unverified"], None)
    event = AuditEvent({"attributes": [("other", "x")]}, {})
    References([]).check([event])
    assert "remarks" not in event.columns


def test_files_are_hashed_within_their_folder(tmp_path):
    """A name that holds the hash is verified, one that holds another is a mismatch, one without is hashed."""
    base = tmp_path / "up loads"
    base.mkdir()
    references = References([base.as_uri() + "/"])
    for name, remark in ((f"{SHA}.json", "verified"), ("c0ffee.json", "hashed"), (f"{'0' * 64}.json", "mismatch")):
        (base / name).write_bytes(TEXT)
        assert checked(references, (base / name).as_uri()) == ([f"reference_{remark}"], SHA)
    references.close()


def test_nothing_outside_the_folder_is_read(tmp_path):
    """Neither by .., encoded or not, nor by a link, a neighbour's name, a pipe, a folder, a query, or too much."""
    base, outside = tmp_path / "base", tmp_path / "base-other"
    base.mkdir()
    outside.mkdir()
    secret = outside / "secret.json"
    secret.write_bytes(TEXT)
    (base / "link.json").symlink_to(secret)
    (base / "folder").symlink_to(outside)
    (base / "sub").mkdir()
    (base / "large.json").write_bytes(bytes(2000))
    (base / "ok.json").write_bytes(TEXT)
    os.mkfifo(base / "pipe")
    prefix = base.as_uri() + "/"
    references = References([prefix], max_bytes=1000)
    for uri in (
        secret.as_uri(),
        f"{prefix}../base-other/secret.json",
        f"{prefix}%2e%2e/base-other/secret.json",
        f"{prefix}%252e%252e/base-other/secret.json",
        f"{prefix}link.json",
        f"{prefix}folder/secret.json",
        f"{prefix}pipe",
        f"{prefix}sub",
        f"{prefix}absent.json",
        f"{prefix}large.json",
        f"{prefix}ok.json?x",
        "http://127.0.0.1/x",
        "not a uri",
    ):
        assert checked(references, uri) == (["reference_unverified"], None), uri
    assert checked(references, f"{prefix}ok.json") == (["reference_hashed"], SHA)
    references.close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/up/moved"):
            self.send_response(302)
            self.send_header("Location", "/elsewhere/a.json")
        else:
            self.send_response(200)
        self.end_headers()
        self.wfile.write(TEXT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def https(tmp_path):
    """A real HTTPS server, and a context that trusts it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_port}", ssl.create_default_context(cafile=tmp_path / "cert.pem")
    server.shutdown()
    thread.join()
    server.server_close()


def test_https_is_read_and_redirects_are_not_followed(https):
    """A web server's file is hashed; one that moves elsewhere, has another certificate or prefix, is not."""
    server, context = https
    references = References([f"{server}/up/"], ssl_context=context, max_seconds=20)
    assert checked(references, f"{server}/up/{SHA}.json") == (["reference_verified"], SHA)
    assert checked(references, f"{server}/up/moved.json") == (["reference_unverified"], None)
    assert checked(references, f"{server}/elsewhere/a.json") == (["reference_unverified"], None)
    untrusting = References([f"{server}/up/"], max_seconds=20)
    assert checked(untrusting, f"{server}/up/a.json") == (["reference_unverified"], None)


def test_s3_objects_are_read(monkeypatch):
    """An object under an allowed bucket and folder is hashed, through boto3 as the installation configures it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        references = References(["s3://audit/up/"], max_seconds=20)
        client = references._s3
        client.create_bucket(Bucket="audit")
        for key in (f"up/{SHA}.json", "private/a.json"):
            client.put_object(Bucket="audit", Key=key, Body=TEXT)
        assert checked(references, f"s3://audit/up/{SHA}.json") == (["reference_verified"], SHA)
        assert checked(references, "s3://audit/private/a.json") == (["reference_unverified"], None)
        assert checked(references, "s3://audit/up/absent.json") == (["reference_unverified"], None)
    finally:
        server.stop()
