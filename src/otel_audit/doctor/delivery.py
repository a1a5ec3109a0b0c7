"""One record to the receiver as the application would send it: what becomes of it, and whose clock is off."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from otel_audit.doctor.findings import Finding, Name, Part, note, ok, problem
from otel_audit.errors import ConfigError
from otel_audit.instrumentation.delivery.encoding import SPAN, Decoder, Encoder
from otel_audit.instrumentation.delivery.losses import TRACER_NAME, package_version
from otel_audit.instrumentation.delivery.transport import (
    Destination,
    Protocol,
    ReceiverTime,
    Refused,
    Unavailable,
    connect,
)
from otel_audit.privacy.keys import PseudonymKeys
from otel_audit.privacy.policy import default_policy
from otel_audit.privacy.redactor import Redactor
from otel_audit.semconv import AUDIT_ACTION, AUDIT_ACTOR_ID, AUDIT_ACTOR_TYPE

PROBE_NAME: Final = "otel-audit doctor"  # the name of the record in the trail
_SECONDS: Final = 10.0
_SECOND: Final = 1_000_000_000
_WARN_NANO: Final = 2 * _SECOND
_WRONG_NANO: Final = 60 * _SECOND
_UNAUTHORISED: Final = ("UNAUTHENTICATED", "PERMISSION_DENIED", " 401", " 403")
_NOT_OTLP: Final = ("UNIMPLEMENTED", " 404", " 405", " 415", "not one of an OTLP receiver")
_TIMED_OUT: Final = ("DEADLINE_EXCEEDED", "TimeoutError")
_P: Final = Part.RECEIVER


def examine(
    destination: Destination, clock: Callable[[], int] = time.time_ns, seconds: float = _SECONDS
) -> Iterator[Finding]:
    """Send one record, and tell what became of it.

    ``clock`` gives nanoseconds since 1970; ``seconds`` is how long each attempt may take.
    """
    destination = replace(destination, timeout=seconds)
    where = shown(destination.endpoint)
    record = _probe(clock())
    insecure = _by_steps(destination, where) if destination.endpoint.startswith("https:") else None
    if insecure and insecure.name is Name.RECEIVER_TLS:  # known before gRPC logs about it in words of its own
        yield insecure
        return
    try:
        with closing(connect(destination)) as transport:
            started, sent_at = time.perf_counter(), clock()
            transport.send(SPAN, record)
            took, answered_at = time.perf_counter() - started, clock()
            told = transport.told
    except ConfigError as exc:
        yield problem(
            _P,
            Name.SETTING_INVALID,
            "the receiver's address can not be used",
            f"{exc}.",
            "$ export OTEL_AUDIT_ENDPOINT=http://audit.example.com:4317",
        )
    except Refused as exc:
        yield problem(
            _P,
            Name.RECEIVER_NOT_OTLP,
            f"{where} refused the test record: {exc}",
            "Whatever listens there does not take the records of an application.",
            "See that OTEL_AUDIT_ENDPOINT and OTEL_AUDIT_PROTOCOL name the receiver: gRPC on 4317, HTTP on 4318.",
        )
    except (Unavailable, OSError) as exc:
        yield _unavailable(destination, where, str(exc), record)
    else:
        yield ok(_P, f"{where} ({destination.protocol}) stored the test record {PROBE_NAME!r} in {took * 1000:.0f} ms")
        yield _skew(told, sent_at, answered_at)


def shown(endpoint: str) -> str:
    """The endpoint without what may be a secret.

    >>> shown("https://user:pass@audit.example.com:4317/path?token=1")
    'https://audit.example.com:4317/path'
    """
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _probe(now: int) -> bytes:
    """An export request with one span that says what it is."""
    ids = RandomIdGenerator()
    span = ReadableSpan(
        name=PROBE_NAME,
        context=SpanContext(
            ids.generate_trace_id(), ids.generate_span_id(), is_remote=False, trace_flags=TraceFlags(0)
        ),
        resource=Resource.create(),
        attributes={AUDIT_ACTION: "CHECK_DELIVERY", AUDIT_ACTOR_ID: PROBE_NAME, AUDIT_ACTOR_TYPE: "system"},
        start_time=now,
        end_time=now,
        instrumentation_scope=InstrumentationScope(TRACER_NAME, package_version()),
    )
    encoder = Encoder(Redactor(default_policy(), PseudonymKeys.ephemeral()))
    return Decoder().request([encoder.span(span, {})])


def _skew(told: ReceiverTime | None, sent_at: int, answered_at: int) -> Finding:
    if told is None:
        return note(
            _P,
            Name.CLOCK_UNKNOWN,
            "the receiver does not tell its time, so clocks were not compared",
            "A Collector in between, or an older receiver, does not pass it on.",
            "On this host: $ timedatectl show -p NTPSynchronized",
        )
    # The receiver's clock was read between sending and answer; what it rounded off is uncertain as well.
    early, late = told.unix_nano - answered_at, told.unix_nano + told.resolution_nano - sent_at
    ahead, behind = max(0, -late), max(0, early)
    off = max(ahead, behind)
    if off <= _WARN_NANO:
        return ok(_P, "its clock and this host's agree")
    direction = "ahead of" if ahead else "behind"
    is_wrong = off > _WRONG_NANO
    return (problem if is_wrong else note)(
        _P,
        Name.CLOCK_SKEW,
        f"this host's clock is {off / _SECOND:,.0f} seconds {direction} the receiver's",
        "Entries keep both times. By event time they are in the wrong order among those of other services, "
        "and durations across services are wrong by as much.",
        "Correct whichever is wrong, by time synchronisation on both hosts: $ timedatectl set-ntp true",
    )


def _unavailable(destination: Destination, where: str, said: str, record: bytes) -> Finding:
    """Why the receiver did not take the record. The connection is tried step by step to find out."""
    if any(word in said for word in _UNAUTHORISED):
        return problem(
            _P,
            Name.RECEIVER_UNAUTHORISED,
            f"{where} does not accept this application's credentials ({said})",
            "Records wait in the spool until it does." + ("" if destination.headers else " None are configured here."),
            "$ export OTEL_AUDIT_HEADERS='authorization=Bearer%20TOKEN'",
        )
    if any(word in said for word in _NOT_OTLP):
        return problem(
            _P,
            Name.RECEIVER_NOT_OTLP,
            f"what listens at {where} is no OTLP receiver for {destination.protocol} ({said})",
            "Records wait in the spool.",
            "See that OTEL_AUDIT_ENDPOINT and OTEL_AUDIT_PROTOCOL name the receiver: gRPC on 4317, HTTP on 4318.",
        )
    if any(word in said for word in _TIMED_OUT) and not _by_steps(destination, where):
        return problem(
            _P,
            Name.RECEIVER_TIMEOUT,
            f"{where} takes connections and did not answer within {destination.timeout:g} seconds",
            "Its store may be slow or stopped, or something in between holds requests up. Records wait in the spool.",
            "Look at the receiver's log, and at its health: $ curl http://RECEIVER:4318/healthz",
        )
    return (
        _by_steps(destination, where)
        or _other_protocol(destination, where, record)
        or problem(
            _P,
            Name.RECEIVER_NOT_STORING,
            f"{where} can be reached but does not store ({said})",
            "Records wait in the spool. The receiver's store may be down, or a proxy stands in between.",
            "Look at the receiver's log, and at its health: $ curl http://RECEIVER:4318/healthz",
        )
    )


def _other_protocol(destination: Destination, where: str, record: bytes) -> Finding | None:
    other = Protocol.HTTP if destination.protocol is Protocol.GRPC else Protocol.GRPC
    try:
        with closing(connect(replace(destination, protocol=other))) as transport:
            transport.send(SPAN, record)
    except (Unavailable, Refused, OSError):
        return None
    return problem(
        _P,
        Name.RECEIVER_OTHER_PROTOCOL,
        f"{where} is a receiver for {other}, and {destination.protocol} is set here",
        "Records wait in the spool.",
        f"$ export OTEL_AUDIT_PROTOCOL={other}",
    )


def _by_steps(destination: Destination, where: str) -> Finding | None:
    parts = urlsplit(destination.endpoint)
    host = parts.hostname or ""
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        connection = socket.create_connection((host, port), timeout=destination.timeout)
    except socket.gaierror:
        return problem(
            _P,
            Name.RECEIVER_UNKNOWN_HOST,
            f"the host {host} is not known here",
            "Its name can not be resolved. Records wait in the spool.",
            f"Correct OTEL_AUDIT_ENDPOINT, or the name service: $ getent hosts {host}",
        )
    except TimeoutError:
        return problem(
            _P,
            Name.RECEIVER_TIMEOUT,
            f"{where} can not be reached within {destination.timeout:g} seconds",
            "A firewall drops the packets, or the host is off. Records wait in the spool.",
            f"Allow this host to reach {host} on port {port}.",
        )
    except (OSError, ValueError) as exc:
        return problem(
            _P,
            Name.RECEIVER_DOWN,
            f"nothing listens at {where} ({type(exc).__name__})",
            "Records wait in the spool until something does.",
            "Start the receiver, or correct OTEL_AUDIT_ENDPOINT: $ otel-audit up --data audit-data",
        )
    with connection:
        return _tls(destination, host, connection, where) if parts.scheme == "https" else None


def _tls(destination: Destination, host: str, connection: socket.socket, where: str) -> Finding | None:
    try:
        context = ssl.create_default_context(cafile=destination.certificate or None)
        with context.wrap_socket(connection, server_hostname=host):
            return None
    except ssl.SSLCertVerificationError as exc:
        why = f"Its certificate is not trusted here: {exc.verify_message}."
        step = "Name the authority that signed it: $ export OTEL_AUDIT_CERTIFICATE=/etc/otel-audit/ca.pem"
    except ssl.SSLError as exc:
        why = f"What listens there speaks no TLS that is understood here ({exc.reason or type(exc).__name__})."
        step = "If the receiver has no TLS, the address begins with http://."
    except OSError as exc:
        why = f"The certificates of OTEL_AUDIT_CERTIFICATE can not be read ({exc.strerror or type(exc).__name__})."
        step = "Correct the path, or unset the variable."
    return problem(_P, Name.RECEIVER_TLS, f"no secure connection to {where}", f"{why} Records wait in the spool.", step)
