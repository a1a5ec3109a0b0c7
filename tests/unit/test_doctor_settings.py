"""What the doctor reads from the environment alone. The packages are this environment's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_audit.doctor import settings
from otel_audit.doctor.findings import Finding, Level

CLEAN = {
    "OTEL_SERVICE_NAME": "loans",
    "OTEL_AUDIT_ENDPOINT": "http://audit.example.com:4317",
    "OTEL_AUDIT_PRIVACY_KEY": "ab" * 32,
    "OTEL_TRACES_EXPORTER": "none",
}
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
HOOK = "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK"


def examined(spool: Path, **env: str) -> dict[str, Finding]:
    variables = {name: value for name, value in {**CLEAN, "OTEL_AUDIT_SPOOL_DIR": str(spool), **env}.items() if value}
    found, nonsense = settings.settings_of(variables)
    return {each.name: each for each in [*nonsense, *settings.examine(variables, found)] if each.name}


def test_a_clean_environment_has_nothing_to_mend(tmp_path: Path) -> None:
    """Nothing is found where everything is set."""
    assert examined(tmp_path) == {}


@pytest.mark.parametrize(
    ("env", "name", "level"),
    [
        ({"OTEL_SDK_DISABLED": "TRUE"}, "sdk-disabled", "problem"),
        ({CONTENT: "true"}, "capture-content-invalid", "problem"),
        ({CONTENT: "SPAN"}, "capture-content-invalid", "problem"),
        ({HOOK: "upload"}, "completion-hook-other", "problem"),
        ({HOOK: "upload", CONTENT: "no_content"}, "completion-hook-other", "problem"),
        ({HOOK: "upload", CONTENT: "span_only"}, "completion-hook-other", "note"),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "4096"}, "texts-cut", "note"),
        ({"OTEL_PROPAGATORS": "tracecontext,b3"}, "no-baggage", "problem"),
        ({"OTEL_SERVICE_NAME": ""}, "service-unnamed", "note"),
        ({"OTEL_AUDIT_SPOOL_MAX_MIB": "lots"}, "setting-invalid", "problem"),
        ({"OTEL_AUDIT_PROTOCOL": "smoke"}, "setting-invalid", "problem"),
        ({"OTEL_AUDIT_ENDPOINT": ""}, "endpoint-default", "note"),
        ({"OTEL_TRACES_EXPORTER": "", "OTEL_AUDIT_ENDPOINT": "http://localhost:4317"}, "sent-twice", "problem"),
        (
            {
                "OTEL_TRACES_EXPORTER": "console,otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "https://audit.example.com:4318/v1",
            },
            "sent-twice",
            "problem",
        ),
        ({"OTEL_AUDIT_CAPTURE_POLICY": "full"}, "policy-full", "note"),
        ({"OTEL_AUDIT_CAPTURE_POLICY": "no/such/file.toml"}, "policy-invalid", "problem"),
        ({"OTEL_AUDIT_PRIVACY_KEY": ""}, "privacy-key-local", "note"),
        ({"OTEL_AUDIT_PRIVACY_KEY": "tooshort"}, "privacy-key-invalid", "problem"),
        ({"OTEL_PYTHON_CONFIGURATOR": "nobody"}, "configurator-missing", "note"),
    ],
)
def test_each_trap_is_named(tmp_path: Path, env: dict[str, str], name: str, level: str) -> None:
    """One variable, one finding, and it says what to do."""
    found = examined(tmp_path, **env)
    assert list(found) == [name]
    assert found[name].level == level
    assert found[name].mend


@pytest.mark.parametrize(
    "env",
    [
        {CONTENT: "EVENT_ONLY"},
        {HOOK: "otel_audit"},
        {"OTEL_PROPAGATORS": "b3, Baggage"},
        {"OTEL_SERVICE_NAME": "", "OTEL_RESOURCE_ATTRIBUTES": "service.name=loans"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example.com:4317"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://audit.example.com:9999"},
        {"OTEL_SDK_DISABLED": "false"},
        {"OTEL_PYTHON_CONFIGURATOR": "configurator"},
    ],
)
def test_what_is_right_is_left_alone(tmp_path: Path, env: dict[str, str]) -> None:
    """No finding for settings that work."""
    assert examined(tmp_path, **env) == {}


def test_a_value_that_may_be_a_secret_is_not_repeated(tmp_path: Path) -> None:
    """Findings name variables; of their values only those that the documentation has."""
    env = {
        CONTENT: "hunter2",
        HOOK: "hunter2",
        "OTEL_AUDIT_PRIVACY_KEY": "hunter2",
        "OTEL_AUDIT_PROTOCOL": "hunter2",
        "OTEL_AUDIT_EXIT_SECONDS": "hunter2",
        "OTEL_PROPAGATORS": "hunter2",
        "OTEL_PYTHON_DISTRO": "hunter2",
    }
    found = examined(tmp_path, **env)
    assert len(found) >= 6
    assert "hunter2" not in repr(found)


def test_a_key_file_that_others_may_read_is_named(tmp_path: Path) -> None:
    """The application would refuse it, and say so in its log only."""
    key = tmp_path / "privacy.key"
    key.write_text("ab" * 32)
    key.chmod(0o644)
    found = examined(tmp_path, OTEL_AUDIT_PRIVACY_KEY="", OTEL_AUDIT_PRIVACY_KEY_FILE=str(key))
    assert found["privacy-key-invalid"].level is Level.PROBLEM
    assert "chmod 600" in found["privacy-key-invalid"].why
