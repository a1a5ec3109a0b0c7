"""The process that makes the test calls, set up as ``opentelemetry-instrument`` sets up an application.

``python -m otel_audit.doctor.child PROVIDER_URL RESULTS_FILE CLIENT...``: the results are JSON, see ``Call``. The
caller gives it an environment in which it can reach nothing but the provider and the catcher.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import otel_audit

SYSTEM: Final = "You are asked by the doctor of otel-audit."
QUESTION: Final = "Does this call arrive in the audit trail?"
_KEY: Final = "otel-audit-doctor"  # where clients insist on one
_SECONDS: Final = 20.0
_LOADER: Final = "opentelemetry.instrumentation.auto_instrumentation"


@dataclass
class Call:
    """One API of one client. ``problem`` is empty when it answered; times are nanoseconds since 1970."""

    client: str
    api: str
    start: int = 0
    end: int = 0
    problem: str = ""
    missing: str = ""  # a distribution without which this client makes no call here


@dataclass
class Results:
    """Of all calls, and what OpenTelemetry's loader and otel-audit complained about."""

    calls: list[Call] = field(default_factory=list)
    loader: list[str] = field(default_factory=list)
    delivered: bool = True


def _openai(url: str) -> dict[str, Callable[[], Any]]:
    import openai  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - the application's

    client = openai.OpenAI(base_url=f"{url}/v1", api_key=_KEY, max_retries=0, timeout=_SECONDS)
    messages: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    apis: dict[str, Callable[[], Any]] = {
        "chat.completions.create": lambda: client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    }
    if hasattr(client, "responses"):
        apis["responses.create"] = lambda: client.responses.create(
            model="gpt-4o-mini", instructions=SYSTEM, input=QUESTION
        )
    return apis


def _anthropic(url: str) -> dict[str, Callable[[], Any]]:
    import anthropic  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - the application's

    client = anthropic.Anthropic(base_url=url, api_key=_KEY, max_retries=0, timeout=_SECONDS)
    messages: Any = [{"role": "user", "content": QUESTION}]
    return {
        "messages.create": lambda: client.messages.create(
            model="claude-sonnet-4-5", max_tokens=100, system=SYSTEM, messages=messages
        )
    }


def _langchain(url: str) -> dict[str, Callable[[], Any]]:
    messages = [("system", SYSTEM), ("user", QUESTION)]
    try:
        chat = importlib.import_module("langchain_openai").ChatOpenAI
    except ModuleNotFoundError:
        chat = importlib.import_module("langchain_anthropic").ChatAnthropic
        model = chat(model="claude-sonnet-4-5", base_url=url, api_key=_KEY, max_retries=0, timeout=_SECONDS)
    else:
        model = chat(model="gpt-4o-mini", base_url=f"{url}/v1", api_key=_KEY, max_retries=0, timeout=_SECONDS)
    return {"chat model invoke": lambda: model.invoke(messages)}


TRIED: Final = {"openai": _openai, "anthropic": _anthropic, "langchain": _langchain}


def make_calls(client: str, url: str) -> list[Call]:
    """A call of each API of ``client``, one after the other, each within a task of its own."""
    try:
        apis = TRIED[client](url)
    except ModuleNotFoundError as exc:
        return [Call(client, "", missing=str(exc.name))]
    except Exception as exc:  # noqa: BLE001 - a client that can not be made is a finding
        return [Call(client, "", problem=_place(exc))]
    calls = []
    for api, make in apis.items():
        call = Call(client, api, time.time_ns())
        try:
            with otel_audit.task(f"otel-audit-doctor-{client}", kind="doctor", join=True):
                make()
        except Exception as exc:  # noqa: BLE001 - a call that fails is a finding
            call.problem = _place(exc)
        call.end = time.time_ns()
        calls.append(call)
    return calls


def _place(exc: BaseException) -> str:
    """The exception's type and the line that raised it: its text may hold what must not be shown."""
    frames = traceback.extract_tb(exc.__traceback__)
    return f"{type(exc).__name__}" + (f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else "")


class _Listener(logging.Handler):
    """What the loader of instrumentations warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        exc = record.exc_info[1] if record.exc_info else None
        self.said.append(record.getMessage() + (f": {_place(exc)}" if exc else ""))


def main(arguments: Sequence[str]) -> None:
    """Set up, call, deliver, and write the results."""
    url, results_file, *clients = arguments
    listener = _Listener()
    logging.getLogger(_LOADER).addHandler(listener)
    try:
        loader = importlib.import_module(_LOADER)
    except ModuleNotFoundError:
        pass  # an application that sets up everything itself: configure() below
    else:
        loader.initialize()
    otel_audit.configure()
    results = Results(loader=listener.said)
    for client in clients:
        results.calls += make_calls(client, url)
    results.delivered = otel_audit.flush(_SECONDS)
    Path(results_file).write_text(json.dumps(asdict(results)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
