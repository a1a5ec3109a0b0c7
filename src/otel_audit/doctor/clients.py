"""Which AI clients are installed, and which distributions instrument each of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, entry_points, version
from typing import Final

from otel_audit.doctor.findings import Finding, Name, Part, listed, note, ok, problem

DISABLED_VARIABLE: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_GROUP: Final = "opentelemetry_instrumentor"
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_C: Final = Part.CLIENTS


@dataclass(frozen=True, slots=True)
class Client:
    """An AI client library: its name, its distributions on PyPI, and an instrumentation to propose.

    ``beneath`` are clients by which it calls the provider: when those are instrumented, its calls are recorded.
    """

    name: str
    distributions: tuple[str, ...]
    proposed: str
    beneath: tuple[str, ...] = ()


CLIENTS: Final = (
    Client("openai", ("openai",), "opentelemetry-instrumentation-genai-openai"),
    Client("anthropic", ("anthropic",), "opentelemetry-instrumentation-genai-anthropic"),
    Client(
        "langchain",
        ("langchain", "langchain-core"),
        "opentelemetry-instrumentation-genai-langchain",
        ("openai", "anthropic"),
    ),
    Client("llama-index", ("llama-index-core",), "openinference-instrumentation-llama-index", ("openai", "anthropic")),
    Client("litellm", ("litellm",), "openinference-instrumentation-litellm", ("openai",)),
    Client("google-genai", ("google-genai",), "openinference-instrumentation-google-genai"),
    Client("mistralai", ("mistralai",), "openinference-instrumentation-mistralai"),
    Client("groq", ("groq",), "openinference-instrumentation-groq"),
    Client("cohere", ("cohere",), "opentelemetry-instrumentation-cohere"),
    Client("ollama", ("ollama",), "opentelemetry-instrumentation-ollama"),
)
# These emit spans themselves once the application asks for it, and no distribution of others is needed.
_SELF_INSTRUMENTED: Final = {
    "pydantic-ai": (("pydantic-ai", "pydantic-ai-slim"), "Agent.instrument_all()"),
}


@dataclass(frozen=True, slots=True)
class Instrumentation:
    """A distribution that instruments a client. ``conflict`` says why OpenTelemetry will not load it, if so."""

    distribution: str
    version: str
    entry: str  # name of its entry point: what DISABLED_VARIABLE knows it by
    module: str
    is_disabled: bool
    conflict: str

    @property
    def is_active(self) -> bool:
        """Whether ``opentelemetry-instrument`` loads it."""
        return not self.is_disabled and not self.conflict

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Installed:
    """A client that is installed, its version, and what instruments it."""

    client: Client
    version: str
    instrumentations: tuple[Instrumentation, ...]

    @property
    def active(self) -> Sequence[Instrumentation]:
        """What ``opentelemetry-instrument`` loads for it."""
        return [each for each in self.instrumentations if each.is_active]


def installed_clients(env: Mapping[str, str], only: Collection[str] = ()) -> list[Installed]:
    """The clients that are installed; of ``only`` these names, where any are given."""
    off = {each.strip() for each in env.get(DISABLED_VARIABLE, "").split(",")}
    known = [(entry, entry.dist) for entry in entry_points(group=_GROUP) if entry.dist is not None]
    found = []
    for client in CLIENTS:
        versions = [text for name in client.distributions if (text := _version(name))]
        if versions and (not only or client.name in only):
            those = tuple(
                Instrumentation(
                    distribution.name,
                    distribution.version,
                    entry.name,
                    entry.module,
                    entry.name in off or "*" in off,
                    _conflict(distribution),
                )
                for entry, distribution in known
                if _instruments(entry, distribution, client)
            )
            found.append(Installed(client, versions[0], those))
    return found


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _instruments(entry: EntryPoint, distribution: Distribution, client: Client) -> bool:
    """By what it says that it instruments; by its name where it says nothing."""
    targets = {
        match[0].lower().replace("_", "-").replace(".", "-")
        for text in distribution.requires or ()
        if "extra ==" in text and "instruments" in text and (match := _REQUIREMENT.match(text))
    }
    return not targets.isdisjoint(client.distributions) if targets else entry.name == client.name


def _conflict(distribution: Distribution) -> str:
    """OpenTelemetry's own judgement of whether the installed client is one that it can instrument."""
    try:
        from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts  # noqa: PLC0415

        found = get_dist_dependency_conflicts(distribution)
    except Exception as exc:  # noqa: BLE001 - a distribution whose metadata can not be read is not loaded either
        return f"its requirements can not be read ({type(exc).__name__})"
    return str(found) if found else ""


def examine(found: Sequence[Installed], only: Collection[str] = ()) -> Iterator[Finding]:
    """A finding for each client: nothing instruments it, too much does, or what does is turned off or does not fit."""
    recorded = {each.client.name for each in found if each.active}
    for each in found:
        yield from _of_client(each, _through(each.client, recorded))
    themselves = [name for name in _SELF_INSTRUMENTED if not only or name in only]
    for name in themselves:
        distributions, call = _SELF_INSTRUMENTED[name]
        if release := next((text for each in distributions if (text := _version(each))), ""):
            yield note(
                _C,
                Name.SELF_INSTRUMENTED,
                f"{name} {release} emits spans itself, once the application asks for it",
                "Whether it does can not be seen from here.",
                f"In the application's code: {call}",
            )
    if not found and not any(_version(d) for name in themselves for d in _SELF_INSTRUMENTED[name][0]):
        yield note(
            _C,
            Name.NO_CLIENT,
            "no AI client that is known here is installed" + (f" ({listed(sorted(only), 'or')})" if only else ""),
            "AI calls of another client are recorded when an instrumentation reports them.",
            "Run this with the application's own Python: $ /path/to/venv/bin/python -m otel_audit.doctor",
        )


def _through(client: Client, recorded: Collection[str]) -> list[str]:
    """Other clients, beneath or above this one, that are instrumented: calls may be recorded there."""
    above = [each.name for each in CLIENTS if client.name in each.beneath]
    return [name for name in (*client.beneath, *above) if name in recorded]


def _of_client(found: Installed, through: Sequence[str]) -> Iterator[Finding]:
    client, active = found.client, found.active
    label = f"{client.name} {found.version}"
    worst = note if active or through else problem
    for each in found.instrumentations:
        if each.is_disabled:
            yield worst(
                _C,
                Name.INSTRUMENTATION_DISABLED,
                f"{each}, for {label}, is turned off by {DISABLED_VARIABLE}",
                "",
                f"Take {each.entry!r} (or '*') out of that variable.",
            )
        elif each.conflict:
            yield worst(
                _C,
                Name.INSTRUMENTATION_VERSION,
                f"{each} does not fit {label}, and is not loaded",
                f"{each.conflict}",
                f"$ pip install --upgrade {each.distribution}",
            )
    if len(active) > 1:
        best = next((each for each in active if each.distribution == client.proposed), active[0])
        others = [each.distribution for each in active if each is not best]
        yield problem(
            _C,
            Name.INSTRUMENTED_TWICE,
            f"{label} is instrumented by {listed([str(each) for each in active])} at once",
            "Each call is reported by each of them, and stored as often: the receiver links the duplicates and counts "
            f"one. {DISABLED_VARIABLE} can not choose between them where they have one name.",
            f"Keep one: $ pip uninstall {' '.join(others)}",
        )
    elif active:
        yield ok(_C, f"{label} is instrumented by {active[0]}")
    elif not found.instrumentations:
        yield worst(
            _C,
            Name.NOT_INSTRUMENTED,
            f"nothing instruments {label}",
            f"Calls that it makes on its own are not recorded; those made through {listed(through)} are."
            if through
            else "Its calls are not recorded, or only as far as the client reports them itself.",
            f"$ pip install {client.proposed}",
        )
