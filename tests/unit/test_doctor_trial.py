"""The environment in which the doctor makes its test calls."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from otel_audit.doctor.trial import child_environment

FOLDER = Path("/doctors-folder")
URL = "http://127.0.0.1:9"


def test_nothing_that_leads_elsewhere_is_left() -> None:
    """Credentials, proxies, exporters, files that name exporters: all taken out."""
    taken = {
        "OPENAI_API_KEY": "1", "OPENAI_BASE_URL": "1", "ANTHROPIC_CUSTOM_HEADERS": "1", "AWS_PROFILE": "1",
        "HTTPS_PROXY": "1", "all_proxy": "1", "OTEL_EXPORTER_OTLP_HEADERS": "1", "OTEL_CONFIG_FILE": "1",
        "OTEL_AUDIT_HEADERS": "1", "OTEL_AUDIT_PRIVACY_KEY_FILE": "1", "DATABASE_PASSWORD": "1", "MY_SECRET_THING": "1",
        "OTEL_AUDIT_CERTIFICATE": "1", "LANGSMITH_ENDPOINT": "1", "github_token": "1",
    }  # fmt: skip
    found = child_environment({**taken, "PATH": "/bin"}, URL, FOLDER)
    assert taken.keys().isdisjoint(found)
    assert found["PATH"] == "/bin"
    assert found["OTEL_AUDIT_ENDPOINT"] == URL
    assert {found[f"OTEL_{kind}_EXPORTER"] for kind in ("TRACES", "METRICS", "LOGS")} == {"none"}
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"].startswith(URL)


def test_what_the_operator_set_stays() -> None:
    """Samplers, propagators, policies and switches of instrumentations are what is to be examined."""
    kept = {
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_PROPAGATORS": "b3",
        "OTEL_SERVICE_NAME": "loans",
        "OTEL_SDK_DISABLED": "true",
        "OTEL_AUDIT_CAPTURE_POLICY": "hash",
        "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK": "upload",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask",
        "OPENINFERENCE_HIDE_INPUTS": "true",
    }
    assert child_environment(kept, URL, FOLDER).items() >= kept.items()


def test_files_go_to_the_doctors_own_folder() -> None:
    """Spool, referenced texts and uploads are deleted with it."""
    env = {
        "OTEL_AUDIT_SPOOL_DIR": "/spool",
        "OTEL_AUDIT_REFERENCE_BASE": "/texts",
        "OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH": "s3://bucket",
    }
    found = child_environment(env, URL, FOLDER)
    assert all(Path(found[name]).parent == FOLDER for name in env)


def test_the_child_sets_opentelemetry_up_once() -> None:
    """The folder by which opentelemetry-instrument starts is not on its path: it starts it itself."""
    spec = find_spec("opentelemetry.instrumentation.auto_instrumentation")
    assert spec is not None
    assert spec.origin is not None
    path = os.pathsep.join([str(Path(spec.origin).parent), "/app"])
    assert child_environment({"PYTHONPATH": path}, URL, FOLDER)["PYTHONPATH"] == "/app"
