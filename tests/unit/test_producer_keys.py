"""Proofs of producers by each algorithm: made here with the library's own keys, checked as the receiver does."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from otel_audit.conventions.audit_canonical import sent_form
from otel_audit.errors import ConfigError, RejectedBatch
from otel_audit.receiver.audit_signal.producer_keys import Verdict, read_producer_keys
from otel_audit.receiver.audit_signal.records import read_records
from otel_audit.receiver.otlp_json import to_protobuf
from tests.integration.test_audit_signal import attribute, batch, canonical, record

SECRET = bytes(range(32))


def certificate_of(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "producer")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(begin).not_valid_after(begin + datetime.timedelta(365))
    return builder.sign(key, SHA256())


def raw(signature):
    """``r || s`` (RFC 7518 §3.4) of a DER signature."""
    r, s = decode_dss_signature(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def checked(keys, proof, algorithm, name, sent):
    """The verdict on ``sent`` with this proof."""
    signed = dict(sent, attributes=[*sent["attributes"], attribute("audit.integrity.value", proof)])
    resource = [attribute("audit.integrity.algorithm", algorithm), attribute("audit.integrity.certificate", name)]
    (read,) = read_records(to_protobuf("logs", json.dumps(batch(signed, resource=resource)).encode()))
    return keys.check(read, sent_form(read), "record 0")


@pytest.fixture(scope="module")
def es256():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def keys(tmp_path, es256):
    pem = certificate_of(es256).public_bytes(Encoding.PEM).decode()
    listed = [
        {"algorithm": "ES256", "certificate": pem},
        {"id": "shared", "algorithm": "HMAC-SHA256", "secret": base64.b64encode(SECRET).decode()},
    ]
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": listed}))
    return read_producer_keys(path)


@pytest.mark.parametrize("form", ["base64", "fingerprint"])
def test_es256_by_its_certificate(keys, es256, form):
    """A signature passes under either name of its certificate; DER, another record, and another key do not."""
    listed = next(iter(keys.keys)).names
    name = next(each for each in listed if each.startswith("sha256:") == (form == "fingerprint"))
    sent = record()
    signature = es256.sign(canonical(sent), ec.ECDSA(SHA256()))
    assert checked(keys, base64.b64encode(raw(signature)).decode(), "ES256", name, sent) is Verdict.PASSED
    other = ec.generate_private_key(ec.SECP256R1()).sign(canonical(sent), ec.ECDSA(SHA256()))
    for proof, subject in ((signature, sent), (raw(signature), record()), (raw(other), sent)):
        with pytest.raises(RejectedBatch, match="not a proof"):
            checked(keys, base64.b64encode(proof).decode(), "ES256", name, subject)


def test_hmac_by_its_shared_secret(keys):
    """The right secret passes, another is refused, and an id that is not listed is not judged."""
    sent = record()
    good, bad = (
        base64.b64encode(hmac.digest(secret, canonical(sent), hashlib.sha256)).decode()
        for secret in (SECRET, bytes(32))
    )
    assert checked(keys, good, "HMAC-SHA256", "shared", sent) is Verdict.PASSED
    with pytest.raises(RejectedBatch, match="not a proof"):
        checked(keys, bad, "HMAC-SHA256", "shared", sent)
    assert checked(keys, bad, "HMAC-SHA256", "somebody", sent) is Verdict.UNVERIFIED


def test_a_secret_shorter_than_the_hash_is_refused_without_telling_it(tmp_path):
    """RFC 2104 §3; the message names the file and the key, and not what the key is."""
    short = base64.b64encode(b"too short a secret").decode()
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [{"id": "k", "algorithm": "HMAC-SHA256", "secret": short}]}))
    with pytest.raises(ConfigError, match="32 bytes") as refused:
        read_producer_keys(path)
    assert short not in str(refused.value)


def test_a_certificate_that_looks_like_our_marker_is_only_unknown(keys):
    """A text that begins like the marker of a text that lies elsewhere is taken as it is."""
    assert checked(keys, "AAAA", "ES256", "content:nowhere", record()) is Verdict.UNVERIFIED
