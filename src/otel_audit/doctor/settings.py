"""What the environment says, and what follows from it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from otel_audit.doctor.findings import Finding, Name, Part, note, ok, problem
from otel_audit.errors import AuditError
from otel_audit.instrumentation.delivery.settings import DEFAULT_ENDPOINT, Settings, read_settings
from otel_audit.instrumentation.sdk.setup import OUR_HOOK
from otel_audit.privacy.keys import KEY_FILE_VARIABLE, KEY_VARIABLE, PseudonymKeys
from otel_audit.privacy.policy import POLICY_VARIABLE, Mode, policy_from_environment

CONTENT_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
HOOK_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK"
CONTENT_MODES: Final = ("NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT")
_SPOKEN: Final = frozenset({"true", "false", "1", "0", "yes", "no", "on", "off", "all"})  # may be repeated: no secrets
_LIMITS: Final = ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
_STANDARD_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PORTS: Final = frozenset({4317, 4318})  # of one receiver: the two ways to it
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_S: Final = Part.SETTINGS


def has_zero_code() -> bool:
    """Whether ``opentelemetry-instrument`` is there to start applications with."""
    return find_spec("opentelemetry.instrumentation") is not None and (
        find_spec("opentelemetry.instrumentation.auto_instrumentation") is not None
    )


def settings_of(env: Mapping[str, str], endpoint: str | None = None) -> tuple[Settings, list[Finding]]:
    """The settings that an application in this environment gets, and what of them makes no sense."""
    own_provider = not (has_zero_code() and _named("opentelemetry_configurator"))
    with _complaints() as said:
        settings = read_settings(endpoint, standard=own_provider, environment=env)
    return settings, [
        problem(_S, Name.SETTING_INVALID, text, "", "Correct the variable, or unset it.") for text in said
    ]


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What our own code would log about settings."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            operation, complaint = record.args if isinstance(record.args, tuple) else ("", record.getMessage())
            if operation != "spool":  # spool.py looks at the folder itself
                said.append(str(complaint))

    logger, listener = logging.getLogger("otel_audit"), Listener()
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagates


def examine(env: Mapping[str, str], settings: Settings) -> Iterator[Finding]:
    """Every check that needs nothing but the environment."""
    yield from _sdk(env)
    yield from _content(env)
    yield from _tasks(env)
    yield from _destination(env, settings)
    yield from _privacy(env, settings.spool)


def _sdk(env: Mapping[str, str]) -> Iterator[Finding]:
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield problem(
            _S,
            Name.SDK_DISABLED,
            "OTEL_SDK_DISABLED=true turns OpenTelemetry off in this environment",
            "Nothing is recorded: no AI call, no review.",
            "$ unset OTEL_SDK_DISABLED",
        )
    if not has_zero_code():
        yield note(
            _S,
            Name.NO_ZERO_CODE,
            "opentelemetry-instrument is not installed",
            "The application has to call otel_audit.configure() itself, and instrument its AI clients.",
            "To have it done without a change in code: $ pip install opentelemetry-distro",
        )
    elif not any(each.name == OUR_HOOK for each in entry_points(group="opentelemetry_pre_instrument")):
        yield problem(
            _S,
            Name.ENTRY_POINT_MISSING,
            "opentelemetry-instrument does not find otel-audit",
            "The package is importable but not installed (its entry points are missing), so that only applications "
            "that call otel_audit.configure() are recorded.",
            "$ pip install --force-reinstall --no-deps otel-audit",
        )
    for variable, group in (
        ("OTEL_PYTHON_DISTRO", "opentelemetry_distro"),
        ("OTEL_PYTHON_CONFIGURATOR", "opentelemetry_configurator"),
    ):
        wanted = env.get(variable, "").strip()
        if wanted and has_zero_code() and wanted not in {each.name for each in _named(group)}:
            yield note(
                _S,
                Name.CONFIGURATOR_MISSING,
                f"{variable} names something that is not installed",
                "opentelemetry-instrument then sets up no SDK of the application's own. otel-audit sets up one, and "
                "the application's other exporters get nothing.",
                f"Install what it names, or: $ unset {variable}",
            )


def _named(group: str) -> list[EntryPoint]:
    return list(entry_points(group=group))


def _content(env: Mapping[str, str]) -> Iterator[Finding]:
    said = env.get(CONTENT_VARIABLE, "").strip()
    hook = env.get(HOOK_VARIABLE, "").strip()
    is_valid = not said or said.upper() in CONTENT_MODES
    if not is_valid:
        known = f"={said}" if said.lower() in _SPOKEN else ""
        yield problem(
            _S,
            Name.CAPTURE_CONTENT_INVALID,
            f"{CONTENT_VARIABLE}{known} is none of {', '.join(CONTENT_MODES)}",
            "Earlier releases took true; current instrumentations warn, and put no prompts and answers on their spans. "
            "Those that use the official completion hook still hand them to otel-audit, if that hook is ours.",
            f"$ export {CONTENT_VARIABLE}=SPAN_ONLY",
        )
    if hook and hook != OUR_HOOK:
        captures = is_valid and bool(said) and said.upper() != "NO_CONTENT"
        finding = note if captures else problem
        yield finding(
            _S,
            Name.COMPLETION_HOOK_OTHER,
            f"{HOOK_VARIABLE} names another hook than otel-audit's",
            "Only one hook can be active. Prompts and answers reach the trail only on spans or events, "
            f"{'where instrumentations are told to put them' if captures else 'and instrumentations put none there'}.",
            f"$ unset {HOOK_VARIABLE}",
            f"or keep it, and let the spans carry the texts: $ export {CONTENT_VARIABLE}=SPAN_ONLY",
        )
    for variable in _LIMITS:
        if env.get(variable, "").strip().isdecimal():
            yield note(
                _S,
                Name.TEXTS_CUT,
                f"{variable} cuts texts at {env[variable].strip()} characters",
                "Longer prompts and answers on spans arrive incomplete; each cut is recorded as a loss.",
                f"$ unset {variable}",
            )


def _tasks(env: Mapping[str, str]) -> Iterator[Finding]:
    propagators = env.get("OTEL_PROPAGATORS", "").strip()
    if propagators and "baggage" not in {each.strip().lower() for each in propagators.split(",")}:
        yield problem(
            _S,
            Name.NO_BAGGAGE,
            "OTEL_PROPAGATORS leaves out baggage",
            "Tasks do not travel to the services that this one calls: their AI calls belong to no task.",
            "$ export OTEL_PROPAGATORS=tracecontext,baggage    # and whatever else it has now",
        )
    if not env.get("OTEL_SERVICE_NAME", "").strip() and "service.name" not in env.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        yield note(
            _S,
            Name.SERVICE_UNNAMED,
            "the service has no name here",
            "Its entries are those of unknown_service, unless configure(service_name=...) names it.",
            "$ export OTEL_SERVICE_NAME=loan-assistant",
        )


def _destination(env: Mapping[str, str], settings: Settings) -> Iterator[Finding]:
    endpoint = settings.destination.endpoint
    if not env.get("OTEL_AUDIT_ENDPOINT", "").strip() and endpoint == DEFAULT_ENDPOINT:
        yield note(
            _S,
            Name.ENDPOINT_DEFAULT,
            f"OTEL_AUDIT_ENDPOINT is not set: records go to {DEFAULT_ENDPOINT}",
            "",
            "$ export OTEL_AUDIT_ENDPOINT=http://audit.example.com:4317",
        )
    own = _own_traces_endpoint(env)
    if own and _same_receiver(own, endpoint):
        yield problem(
            _S,
            Name.SENT_TWICE,
            "the application's own OTLP exporter sends to the audit receiver too",
            "Each span arrives twice: once from otel-audit, and once as the SDK sends it, with the texts unmasked on "
            "the wire and without the spool.",
            "$ export OTEL_TRACES_EXPORTER=none OTEL_LOGS_EXPORTER=none",
            "or point OTEL_EXPORTER_OTLP_ENDPOINT at your own collector.",
        )


def _own_traces_endpoint(env: Mapping[str, str]) -> str:
    """Where the application's own OTLP exporter sends under ``opentelemetry-instrument``; empty when there is none."""
    if not (has_zero_code() and _named("opentelemetry_configurator")):
        return ""
    default = "otlp" if _named("opentelemetry_distro") else "none"
    exporters = {each.strip() for each in env.get("OTEL_TRACES_EXPORTER", default).split(",")}
    if not any(each.startswith("otlp") for each in exporters):
        return ""
    return next((text for name in _STANDARD_ENDPOINTS if (text := env.get(name, "").strip())), DEFAULT_ENDPOINT)


def _same_receiver(one: str, other: str) -> bool:
    first, second = (urlsplit(each if "://" in each else f"http://{each}") for each in (one, other))
    hosts = {"localhost" if each.hostname in _LOOPBACK else each.hostname for each in (first, second)}
    try:
        ports = {each.port or (443 if each.scheme == "https" else 80) for each in (first, second)}
    except ValueError:
        return False
    return len(hosts) == 1 and (len(ports) == 1 or ports == _PORTS)


def _privacy(env: Mapping[str, str], spool: Path) -> Iterator[Finding]:
    try:
        policy = policy_from_environment(env)
    except AuditError as exc:
        yield problem(
            _S,
            Name.POLICY_INVALID,
            f"{POLICY_VARIABLE} can not be used",
            f"{exc}. The application goes on with the default policy, redacted/1.",
            f"Correct it, or: $ export {POLICY_VARIABLE}=redacted",
        )
    else:
        named = ("", *policy.services)
        if any(policy.rules_for(service).mode is Mode.FULL for service in named):
            yield note(
                _S,
                Name.POLICY_FULL,
                f"the capture policy {policy.label} keeps texts in full",
                "Personal data in texts leaves the process unmasked; the receiver's policy still applies.",
                f"If that is not intended: $ export {POLICY_VARIABLE}=redacted",
            )
        else:
            yield ok(_S, f"personal data is masked before it leaves the process (capture policy {policy.label})")
    yield from _keys(env, spool)


def _keys(env: Mapping[str, str], spool: Path) -> Iterator[Finding]:
    is_given = any(env.get(name, "").strip() for name in (KEY_VARIABLE, KEY_FILE_VARIABLE))
    fallback = spool / "pseudonym.key"
    try:
        if is_given:
            PseudonymKeys.from_environment(env)
        elif fallback.exists():
            PseudonymKeys.load(fallback)
    except AuditError as exc:
        yield problem(
            _S,
            Name.PRIVACY_KEY_INVALID,
            "the key of the pseudonyms can not be used",
            f"{exc}. Each process then makes a key of its own, and the same person gets another token in each.",
            f"Correct {KEY_FILE_VARIABLE if env.get(KEY_FILE_VARIABLE) else KEY_VARIABLE if is_given else fallback}.",
        )
        return
    if not is_given:
        yield note(
            _S,
            Name.PRIVACY_KEY_LOCAL,
            "the key of the pseudonyms is this host's own",
            f"It lies in {fallback}. The same person gets other tokens on other hosts, so that their entries can not "
            "be joined across services.",
            "To share one: $ (umask 077; openssl rand -hex 32 > /etc/otel-audit/privacy.key)",
            f"$ export {KEY_FILE_VARIABLE}=/etc/otel-audit/privacy.key",
        )
