"""Keys of producers, and the proofs (``audit.integrity.*``) that are checked with them before a record is accepted.

{"keys": [{"id": "key-2026-01", "algorithm": "EdDSA", "public_key": "-----BEGIN PUBLIC KEY-----..."},
{"algorithm": "ES256", "certificate": "-----BEGIN CERTIFICATE-----..."},
{"id": "shared", "algorithm": "HMAC-SHA256", "secret": "<base64>"}]}
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from otel_audit import semconv
from otel_audit.conventions.record import Record
from otel_audit.conventions.text import MARKER
from otel_audit.errors import ConfigError, RejectedBatch

ED25519: Final = "EdDSA"  # RFC 8037 §3.1
ES256: Final = "ES256"  # RFC 7518 §3.4
HMAC: Final = "HMAC-SHA256"  # as the draft writes it
_ALGORITHMS: Final = (ED25519, ES256, HMAC)
_JCS: Final = "jcs"
_SIGNERS: Final = (None, "producer", "collector")  # None: the draft says producer
_COORDINATE: Final = 32  # bytes of r and of s: RFC 7518 §3.4
_SECRET_BYTES: Final = 32  # RFC 2104 §3: no shorter than the hash


class Verdict(StrEnum):
    """What is known of a record's proof."""

    NONE = "none"
    PASSED = "passed"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class ProducerKey:
    """One trusted key, and the names that ``audit.integrity.certificate`` may give it."""

    algorithm: str
    names: frozenset[str]
    key: Ed25519PublicKey | EllipticCurvePublicKey | bytes

    def is_valid(self, message: bytes, proof: bytes) -> bool:
        """Whether ``proof`` is this key's over ``message``."""
        try:
            if isinstance(self.key, bytes):
                return hmac.compare_digest(hmac.digest(self.key, message, hashlib.sha256), proof)
            if isinstance(self.key, Ed25519PublicKey):
                self.key.verify(proof, message)
            else:
                if len(proof) != 2 * _COORDINATE:
                    return False
                r, s = (int.from_bytes(part, "big") for part in (proof[:_COORDINATE], proof[_COORDINATE:]))
                self.key.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class ProducerKeys:
    """The keys that producers' proofs are checked with. ``required``: a record without a valid proof is rejected."""

    keys: tuple[ProducerKey, ...] = ()
    required: bool = False

    def check(self, record: Record, message: bytes, where: str) -> Verdict:
        """Check a record's proof over its canonical bytes. Raises RejectedBatch for a bad one, or a missing one."""
        verdict = self._check(record, message, where)
        if self.required and verdict is not Verdict.PASSED:
            raise RejectedBatch(
                f"{where}: {semconv.AUDIT_INTEGRITY_VALUE} is missing or by no trusted key, and this receiver requires "
                "it; nothing of the batch was stored"
            )
        return verdict

    def _check(self, record: Record, message: bytes, where: str) -> Verdict:
        attributes = record.attributes
        value = attributes.get(semconv.AUDIT_INTEGRITY_VALUE)
        if value is None:
            return Verdict.NONE
        algorithm = _of_resource(record, semconv.AUDIT_INTEGRITY_ALGORITHM)
        if algorithm is None:
            raise RejectedBatch(f"{where}: a proof, and no {semconv.AUDIT_INTEGRITY_ALGORITHM} on the resource")
        if attributes.get(semconv.AUDIT_INTEGRITY_SIGNER) not in _SIGNERS:
            raise RejectedBatch(f"{where}: {semconv.AUDIT_INTEGRITY_SIGNER} must be producer or collector")
        certificate = _of_resource(record, semconv.AUDIT_INTEGRITY_CERTIFICATE)
        candidates = [
            key for key in self.keys if key.algorithm == algorithm and (certificate is None or certificate in key.names)
        ]
        canonical = attributes.get(semconv.AUDIT_INTEGRITY_CANONICALIZATION, _JCS)
        if not candidates or canonical != _JCS or not isinstance(value, str):
            return Verdict.UNVERIFIED
        try:
            proof = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise RejectedBatch(f"{where}: {semconv.AUDIT_INTEGRITY_VALUE} is no base64") from exc
        if not any(key.is_valid(message, proof) for key in candidates):
            raise RejectedBatch(
                f"{where}: {semconv.AUDIT_INTEGRITY_VALUE} is not a proof of the record by the key that it names; "
                "nothing of the batch was stored"
            )
        return Verdict.PASSED


def _of_resource(record: Record, key: str) -> str | None:
    """A text of the resource; a long one, such as a certificate, lies with the contents."""
    text: str | None = dict(record.source.columns.get("resource_attributes", ())).get(key)
    if text is not None and text.startswith(MARKER):
        return record.source.content[text.removeprefix(MARKER)]
    return text


def read_producer_keys(path: Path, *, required: bool = False) -> ProducerKeys:
    """Read a file of keys. Raises ConfigError that says what is wrong, and never a secret."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["keys"]
        keys = [_parse(item, f"{path}: key {number}") for number, item in enumerate(listed)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ConfigError(f'{path}: expected {{"keys": [...]}} as in docs/how-to/audit-signal.md') from exc
    return ProducerKeys(tuple(keys), required)


def _parse(item: Mapping[str, Any], where: str) -> ProducerKey:
    algorithm = item.get("algorithm")
    names = {str(item["id"])} if "id" in item else set()
    key: Any
    if "certificate" in item:
        certificate = x509.load_pem_x509_certificate(item["certificate"].encode())
        raw = certificate.public_bytes(Encoding.DER)
        names |= {
            base64.b64encode(raw).decode(),
            f"sha256:{hashlib.sha256(raw).hexdigest()}",
        }
        key = certificate.public_key()
    elif "public_key" in item:
        key = load_pem_public_key(item["public_key"].encode())
    else:
        key = base64.b64decode(item["secret"], validate=True)
        if len(key) < _SECRET_BYTES:
            raise ConfigError(f"{where}: the secret must have {_SECRET_BYTES} bytes or more")
    fits = {
        ED25519: isinstance(key, Ed25519PublicKey),
        ES256: isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1),
        HMAC: isinstance(key, bytes),
    }
    if not fits.get(str(algorithm)):
        raise ConfigError(f"{where}: algorithm must be one of {', '.join(_ALGORITHMS)}, and fit the key")
    return ProducerKey(str(algorithm), frozenset(names), key)
