"""What the doctor can find. Each kind has a name, which docs/how-to/doctor.md explains; a test compares the two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """``ok`` is fine, ``note`` is worth knowing, ``problem`` has to be mended: the exit code is 1."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


class Name(StrEnum):
    """Every kind of note and problem."""

    # Settings
    SDK_DISABLED = "sdk-disabled"
    ENTRY_POINT_MISSING = "entry-point-missing"
    NO_ZERO_CODE = "no-zero-code"
    CONFIGURATOR_MISSING = "configurator-missing"
    CAPTURE_CONTENT_INVALID = "capture-content-invalid"
    COMPLETION_HOOK_OTHER = "completion-hook-other"
    TEXTS_CUT = "texts-cut"
    NO_BAGGAGE = "no-baggage"
    SERVICE_UNNAMED = "service-unnamed"
    SETTING_INVALID = "setting-invalid"
    ENDPOINT_DEFAULT = "endpoint-default"
    SENT_TWICE = "sent-twice"
    POLICY_INVALID = "policy-invalid"
    POLICY_FULL = "policy-full"
    PRIVACY_KEY_INVALID = "privacy-key-invalid"
    PRIVACY_KEY_LOCAL = "privacy-key-local"
    # AI clients and what instruments them
    NO_CLIENT = "no-client"
    NOT_INSTRUMENTED = "not-instrumented"
    INSTRUMENTED_TWICE = "instrumented-twice"
    INSTRUMENTATION_DISABLED = "instrumentation-disabled"
    INSTRUMENTATION_VERSION = "instrumentation-version"
    SELF_INSTRUMENTED = "self-instrumented"
    # Test calls
    TRIAL_IMPOSSIBLE = "trial-impossible"
    NOT_TRIED = "not-tried"
    CONFIG_FILE_NOT_TRIED = "config-file-not-tried"
    INSTRUMENTATION_FAILS = "instrumentation-fails"
    CALL_FAILED = "call-failed"
    PATCHES_NOTHING = "patches-nothing"
    API_NOT_PATCHED = "api-not-patched"
    REPORTED_TWICE = "reported-twice"
    NOT_RECOGNISED = "not-recognised"
    NO_CONTENT = "no-content"
    NO_SYSTEM_TEXT = "no-system-text"
    NO_MODEL = "no-model"
    NO_RESPONSE_ID = "no-response-id"
    NO_USAGE = "no-usage"
    NO_PROVIDER_REQUEST_ID = "no-provider-request-id"
    NO_TASK = "no-task"
    # Spool
    SPOOL_NOT_WRITABLE = "spool-not-writable"
    SPOOL_TEMPORARY = "spool-temporary"
    SPOOL_FILLING = "spool-filling"
    SPOOL_DISK_SHORT = "spool-disk-short"
    SPOOL_WAITING = "spool-waiting"
    SPOOL_DAMAGED = "spool-damaged"
    SPOOL_REJECTED = "spool-rejected"
    # Way to the receiver
    RECEIVER_UNKNOWN_HOST = "receiver-unknown-host"
    RECEIVER_DOWN = "receiver-down"
    RECEIVER_TIMEOUT = "receiver-timeout"
    RECEIVER_TLS = "receiver-tls"
    RECEIVER_UNAUTHORISED = "receiver-unauthorised"
    RECEIVER_NOT_OTLP = "receiver-not-otlp"
    RECEIVER_OTHER_PROTOCOL = "receiver-other-protocol"
    RECEIVER_NOT_STORING = "receiver-not-storing"
    CLOCK_SKEW = "clock-skew"
    CLOCK_UNKNOWN = "clock-unknown"
    # The trail
    TRAIL_EMPTY = "trail-empty"
    TRAIL_NO_CALLS = "trail-no-calls"
    TRAIL_CONTENT_MISSING = "trail-content-missing"
    TRAIL_FIELDS_MISSING = "trail-fields-missing"
    TRAIL_NO_TASKS = "trail-no-tasks"
    TRAIL_NOT_RECOGNISED = "trail-not-recognised"
    TRAIL_DUPLICATES = "trail-duplicates"
    TRAIL_LOSSES = "trail-losses"
    TRAIL_CLOCK = "trail-clock"
    TRAIL_POLICY_FULL = "trail-policy-full"


class Part(StrEnum):
    """The parts of an examination, in the order in which they are shown."""

    SETTINGS = "Settings"
    CLIENTS = "AI clients"
    CALLS = "Test calls"
    SPOOL = "Spool"
    RECEIVER = "Receiver"
    TRAIL = "Trail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    ``what`` is a sentence, ``why`` what follows from it and where it lies, ``mend`` what to do: what follows
    ``$ `` is typed as it is. ``name`` is None where all is well. No secret is in any of them.
    """

    part: Part
    level: Level
    what: str
    name: Name | None = None
    why: str = ""
    mend: tuple[str, ...] = ()


def ok(part: Part, what: str) -> Finding:
    """All is well."""
    return Finding(part, Level.OK, what)


def note(part: Part, name: Name, what: str, why: str = "", *mend: str) -> Finding:
    """Worth knowing."""
    return Finding(part, Level.NOTE, what, name, why, mend)


def problem(part: Part, name: Name, what: str, why: str, *mend: str) -> Finding:
    """To be mended."""
    return Finding(part, Level.PROBLEM, what, name, why, mend)


def has_problem(findings: Iterable[Finding]) -> bool:
    """Whether anything has to be mended."""
    return any(each.level is Level.PROBLEM for each in findings)


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words as a sentence has them.

    >>> listed(["input", "output", "usage"])
    'input, output and usage'
    """
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else "".join(words)
