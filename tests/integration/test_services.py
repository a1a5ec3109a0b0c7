"""One task across services of different frameworks, each a process of its own; forking servers and queues."""

from __future__ import annotations

import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_audit import semconv
from tests.integration.fake_provider import FakeProvider
from tests.integration.instrumented import PYTHON, App, environment, make_environment
from tests.integration.otlp_collector import Collector, Received

GENAI_OPENAI = "opentelemetry-instrumentation-genai-openai"
OFF = {"OTEL_TRACES_SAMPLER": "always_off"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str, task: str = "") -> str:
    """What an upstream service that works on a task would send: its baggage."""
    baggage = {"baggage": f"{semconv.AUDIT_TASK_ID}={task},{semconv.AUDIT_TASK_KIND}=credit"} if task else {}
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=baggage), timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError:
            raise
        except OSError:  # it does not listen yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sites")


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def is_call(span: Received) -> bool:
    return span.attributes.get("gen_ai.operation.name") == "chat"


def gunicorn(app: str, port: int, env: dict[str, str], *options: str) -> App:
    arguments = ["-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "3", *options, app]
    return App([PYTHON, *arguments], env)


def stop(app: App) -> None:
    app.process.send_signal(signal.SIGTERM)
    said, _ = app.process.communicate(timeout=60)
    assert app.process.returncode == 0, said


def test_a_task_goes_from_fastapi_to_flask_to_the_provider(
    sites: Path, provider: FakeProvider, collector: Collector
) -> None:
    """A call two services down belongs to the task that the first was called for, and all of it is one trace."""
    port, scoring_port = free_port(), free_port()
    site = make_environment(sites, "opentelemetry-instrumentation-flask", GENAI_OPENAI)
    scoring_env = environment("scoring", collector.endpoint, site, PROVIDER=provider.base_url, **OFF)
    site = make_environment(
        sites, "opentelemetry-instrumentation-fastapi", "opentelemetry-instrumentation-httpx", GENAI_OPENAI
    )
    scoring_url = f"http://127.0.0.1:{scoring_port}"
    env = environment("gateway", collector.endpoint, site, SCORING=scoring_url, PORT=str(port), **OFF)
    with (
        gunicorn("tests.integration.apps.scoring:app", scoring_port, scoring_env) as scoring,
        App.script("gateway", env) as gateway,
    ):
        get(f"{scoring_url}/pid")
        assert "Approve" in get(f"http://127.0.0.1:{port}/loans/4711", "loan-4711")
        gateway.end()
        stop(scoring)
    spans = [span for span in collector.spans if span.attributes.get(semconv.AUDIT_TASK_ID) == "loan-4711"]
    assert len({span.trace_id for span in spans}) == 1
    (call,) = [span for span in spans if is_call(span)]
    assert call.service == "scoring"
    assert call.attributes[semconv.AUDIT_TASK_KIND] == "credit"
    by_id = {span.span_id: span for span in spans}
    path = []
    span: Received | None = call
    while span is not None:
        path.append(span.service)
        span = by_id.get(span.parent_span_id)
    assert path == ["scoring", "scoring", "gateway", "gateway"]  # call, its request; the request to it, the first


@pytest.mark.parametrize("preload", [False, True])
def test_forked_workers_deliver_every_call_once(
    sites: Path, provider: FakeProvider, collector: Collector, *, preload: bool
) -> None:
    """gunicorn's workers, forked before or after the application was loaded and called, lose and repeat nothing."""
    port = free_port()
    site = make_environment(sites, "opentelemetry-instrumentation-flask", GENAI_OPENAI)
    more = {"WARM": "1"} if preload else {}
    env = environment("scoring", collector.endpoint, site, PROVIDER=provider.base_url, **OFF, **more)
    options = ["--preload"] if preload else []
    with gunicorn("tests.integration.apps.scoring:app", port, env, *options) as app:
        get(f"http://127.0.0.1:{port}/pid")
        for number in range(12):
            get(f"http://127.0.0.1:{port}/{'pooled' if number % 2 else 'score'}/{number}", f"loan-{number}")
        stop(app)
        collector.wait_for(lambda spans: sum(map(is_call, spans)) >= 12 + preload)
    tasks = [span.attributes.get(semconv.AUDIT_TASK_ID, "") for span in collector.spans if is_call(span)]
    assert sorted(tasks) == sorted([f"loan-{number}" for number in range(12)] + [""] * preload)


def test_a_django_view_keeps_the_task(sites: Path, provider: FakeProvider, collector: Collector) -> None:
    """Django under gunicorn."""
    port = free_port()
    site = make_environment(sites, "opentelemetry-instrumentation-django", GENAI_OPENAI)
    env = environment(
        "django",
        collector.endpoint,
        site,
        PROVIDER=provider.base_url,
        DJANGO_SETTINGS_MODULE="tests.integration.apps.django_settings",
        **OFF,
    )
    with gunicorn("tests.integration.apps.django_app:application", port, env) as app:
        get(f"http://127.0.0.1:{port}/score/1", "loan-1")
        stop(app)
        collector.wait_for(lambda spans: any(map(is_call, spans)))
    (call,) = [span for span in collector.spans if is_call(span)]
    assert call.attributes[semconv.AUDIT_TASK_ID] == "loan-1"


def test_a_celery_worker_keeps_the_task(
    sites: Path, provider: FakeProvider, collector: Collector, tmp_path: Path
) -> None:
    """What a forked worker runs belongs to the audit task that it was queued in, in another process."""
    for name in ("messages", "control", "results"):
        (tmp_path / name).mkdir()
    site = make_environment(sites, "opentelemetry-instrumentation-celery", GENAI_OPENAI)
    env = environment(
        "worker", collector.endpoint, site, PROVIDER=provider.base_url, QUEUE=str(tmp_path), C_FORCE_ROOT="1", **OFF
    )
    queue = "tests.integration.apps.celery_app"
    worker = ["-m", "celery", "-A", queue, "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "info"]
    with App([PYTHON, *worker], env) as app:
        app.wait_for("ready.")
        client = (
            "import otel_audit as audit\n"
            f"from {queue} import score\n"
            "with audit.task('loan-9', kind='credit'):\n"
            "    assert 'Approve' in score.delay('9').get(timeout=60)\n"
        )
        with App([PYTHON, "-c", client], {**env, "OTEL_SERVICE_NAME": "client"}) as caller:
            caller.end()
        collector.wait_for(lambda spans: any(map(is_call, spans)))
        app.process.send_signal(signal.SIGTERM)
        app.process.communicate(timeout=60)
    (call,) = [span for span in collector.spans if is_call(span)]
    assert call.service == "worker"
    assert call.attributes[semconv.AUDIT_TASK_ID] == "loan-9"


def test_threads_and_coroutines_keep_the_task(sites: Path, provider: FakeProvider, collector: Collector) -> None:
    """Plain threads, pools and asyncio within a task's block belong to it; threads of no task belong to none."""
    script = """
import asyncio, os, threading
from concurrent.futures import ThreadPoolExecutor
import openai
import otel_audit as audit

client = openai.OpenAI(base_url=os.environ["PROVIDER"] + "/v1", api_key="test", max_retries=0)
def ask(name):
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": name}], user=name)
class Own(threading.Thread):
    def run(self):
        ask("subclass")
async def coroutines():
    loop = asyncio.get_running_loop()
    await asyncio.gather(asyncio.to_thread(ask, "to_thread"), loop.run_in_executor(None, ask, "executor"))
pool = ThreadPoolExecutor(1)
with audit.task("t"):
    threads = [threading.Thread(target=ask, args=("thread",)), Own()]
    [t.start() for t in threads]
    [t.join() for t in threads]
    pool.submit(ask, "pool").result()
    list(pool.map(ask, ["map"]))
    asyncio.run(coroutines())
pool.submit(ask, "outside").result()
"""
    site = make_environment(sites, GENAI_OPENAI)
    env = environment("threads", collector.endpoint, site, PROVIDER=provider.base_url, **OFF)
    with App([PYTHON, "-c", script], env) as app:
        app.end()
    tasks = {
        span.attributes["gen_ai.input.messages"].split('"content": "')[1].split('"')[0]: span.attributes.get(
            semconv.AUDIT_TASK_ID, ""
        )
        for span in collector.spans
        if is_call(span)
    }
    assert tasks == {
        **dict.fromkeys(("thread", "subclass", "pool", "map", "to_thread", "executor"), "t"),
        "outside": "",
    }
