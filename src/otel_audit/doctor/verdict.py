"""What test calls tell: whether each arrived, who reported it, and what the trail would lack of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from otel_audit.doctor.child import QUESTION, SYSTEM, Call, Results
from otel_audit.doctor.clients import Installed
from otel_audit.doctor.findings import Finding, Name, Part, listed, note, ok, problem
from otel_audit.doctor.provider import ANSWER
from otel_audit.doctor.settings import CONTENT_MODES, CONTENT_VARIABLE, HOOK_VARIABLE
from otel_audit.instrumentation.delivery.losses import TRACER_NAME
from otel_audit.instrumentation.sdk.processor import is_relevant
from otel_audit.instrumentation.sdk.setup import OUR_HOOK
from otel_audit.model import AuditEvent, EventType

_P: Final = Part.CALLS
_TEXTS: Final = {"input": "the prompt", "output": "the answer"}
# What was said in the test calls; an instrumentation may send a text that says only that it hides the text.
_SAID: Final = {"input": QUESTION, "output": ANSWER, "system_instructions": SYSTEM}
_MASKED: Final = re.compile(r"\[(ref:|[a-z0-9_]+:k[0-9a-f]{6}:)")  # what the application's own capture policy leaves
# Instrumentations that have switches of their own for prompts and answers, by the beginning of their scope.
_HIDING: Final = "OPENINFERENCE_HIDE_"
_OWN_SWITCHES: Final = (
    ("openinference.", f"$ unset {_HIDING}INPUTS {_HIDING}OUTPUTS"),
    ("opentelemetry.instrumentation.genai.", f"$ export {CONTENT_VARIABLE}=SPAN_ONLY"),
    ("opentelemetry.instrumentation.", "$ export TRACELOOP_TRACE_CONTENT=true"),
)


def content_switches(scopes: Sequence[str]) -> list[str]:
    """How the first of these instrumentation scopes that has a switch for prompts and answers is told to send them."""
    return [step for scope in scopes for start, step in _OWN_SWITCHES if scope.startswith(start)][:1]


def judge(
    results: Results, events: Sequence[AuditEvent], clients: Sequence[Installed], env: Mapping[str, str]
) -> Iterator[Finding]:
    """Findings on every test call. ``events`` are all that arrived."""
    for text in dict.fromkeys(results.loader):
        yield problem(
            _P,
            Name.INSTRUMENTATION_FAILS,
            "OpenTelemetry could not set up everything",
            f"{text.rstrip('.')}. An instrumentation that raises keeps those after it from being loaded.",
            "Upgrade or uninstall the one that it names.",
        )
    if not results.delivered:
        yield problem(
            _P,
            Name.TRIAL_IMPOSSIBLE,
            "not everything that the test calls recorded was delivered",
            "Something in this environment holds up delivery, also on loopback.",
            "Look at the application's log for lines of the logger otel_audit.",
        )
    for installed in clients:
        calls = [call for call in results.calls if call.client == installed.client.name]
        seen: set[Name] = set()
        reported = any(_calls_in(events, call) or _strange_scopes(events, call) for call in calls)
        for call in calls:
            found = list(_of_call(call, events, installed, env, reported=reported))
            # What is the same for another API of this client is said once.
            yield from (each for each in found if each.name is None or each.name not in seen)
            seen |= {each.name for each in found if each.name and each.name is not Name.API_NOT_PATCHED}


def _calls_in(events: Sequence[AuditEvent], call: Call) -> list[AuditEvent]:
    """AI calls that were reported while the test call was made: they are made one after the other."""
    return [each for each in _within(events, call) if each.columns.get("event_type") == EventType.AI_CALL]


def _within(events: Sequence[AuditEvent], call: Call) -> list[AuditEvent]:
    return [
        each
        for each in events
        if call.start <= each.columns.get("event_time", 0) <= call.end and each.columns.get("scope_name") != TRACER_NAME
    ]


def _strange_scopes(events: Sequence[AuditEvent], call: Call) -> list[str]:
    """Scopes of spans that look like AI by an attribute, and that no convention recognised."""
    return sorted(
        {
            str(each.columns.get("scope_name", ""))
            for each in _within(events, call)
            if not each.columns.get("convention")
            and is_relevant(name for name in _attribute_names(each) if not name.startswith("audit."))
        }
    )


def _attribute_names(event: AuditEvent) -> Iterator[str]:
    yield from (name for name, _ in event.columns.get("attributes", ()))
    yield from (name for name, _ in event.columns.get("attributes_json", ()))


def _of_call(
    call: Call, events: Sequence[AuditEvent], installed: Installed, env: Mapping[str, str], *, reported: bool
) -> Iterator[Finding]:
    label = f"{call.client} {installed.version}"
    if call.missing:
        yield note(_P, Name.NOT_TRIED, f"no test call can be made with {label}: {call.missing} is not installed")
        return
    if call.problem:
        yield problem(
            _P,
            Name.CALL_FAILED,
            f"the test call {_api(call)} failed in the client",
            f"{call.problem}. An instrumentation that does not fit the client can break its calls.",
            "If a call works without opentelemetry-instrument, upgrade or uninstall the instrumentation.",
        )
    found = _calls_in(events, call)
    if not found and not call.problem:
        yield from _nothing(call, label, _strange_scopes(events, call), installed, reported=reported)
    if not found:
        return
    scopes = sorted({str(each.columns.get("scope_name", "")) for each in found})
    yield ok(_P, f"{_api(call)} arrived, reported by {listed(scopes)}")
    if len(scopes) > 1 and len(installed.active) < 2 and not installed.client.beneath:
        yield note(
            _P,
            Name.REPORTED_TWICE,
            f"{_api(call)} is reported {len(scopes)} times: by {listed(scopes)}",
            "One of them is the client itself, or was set up by another package. The trail keeps all, links them and "
            "counts one; statistics are right, the space is used more than once.",
        )
    if not call.problem:
        yield from _lacking(call, found, _within(events, call), installed, env)


def _api(call: Call) -> str:
    return f"{call.client} {call.api}".strip()


def _nothing(
    call: Call, label: str, strange: Sequence[str], installed: Installed, *, reported: bool
) -> Iterator[Finding]:
    active = [str(each) for each in installed.active]
    if not active:
        return  # named already: nothing instruments it
    if strange:
        yield note(
            _P,
            Name.NOT_RECOGNISED,
            f"{_api(call)} arrived as spans that are not recognised as an AI call",
            f"They come from {listed(strange)}. They are kept as spans, without model, usage and texts in columns.",
            f"Use an instrumentation that follows a convention: $ pip install {installed.client.proposed}",
        )
    elif reported:
        yield note(
            _P,
            Name.API_NOT_PATCHED,
            f"{_api(call)} is not reported, though other calls of {label} are",
            f"{listed(active)} does not patch it. What the application calls by it is not recorded.",
            f"If the application uses it: $ pip install --upgrade {installed.active[0].distribution}",
            f"If that does not help, use another, such as {installed.client.proposed}.",
        )
    else:
        better = installed.client.proposed
        other = [] if any(each.distribution == better for each in installed.active) else [better]
        yield problem(
            _P,
            Name.PATCHES_NOTHING,
            f"{listed(active)} patches nothing of {label}",
            "It is loaded and raises no error, the call was answered, and no span arrived: it does not know this "
            "release of the client. No call of the application is recorded.",
            f"$ pip install --upgrade {installed.active[0].distribution}",
            *(
                f"or replace it: $ pip uninstall {installed.active[0].distribution} && pip install {each}"
                for each in other
            ),
            f"or keep to a release of {call.client} that it knows.",
        )


def _lacking(
    call: Call,
    found: Sequence[AuditEvent],
    within: Sequence[AuditEvent],
    installed: Installed,
    env: Mapping[str, str],
) -> Iterator[Finding]:
    scopes = sorted({str(each.columns.get("scope_name", "")) for each in found})
    texts = {
        name
        for each in within  # also log records
        for name, text in each.content.items()
        if name in _SAID and (_SAID[name] in text or _MASKED.search(text))
    }
    if missing := [words for name, words in _TEXTS.items() if name not in texts]:
        yield _without_texts(call, listed(missing), scopes, installed, env)
    elif "system_instructions" not in texts:
        yield note(
            _P,
            Name.NO_SYSTEM_TEXT,
            f"{_api(call)} arrived without its system instructions",
            "The instrumentation leaves them out; the trail does not show what the model was told to be.",
        )

    def has(*columns: str) -> bool:
        return any(each.columns.get(column) not in (None, "") for each in found for column in columns)

    for name, what, follows, columns in (
        (Name.NO_MODEL, "the model that answered", "Only the model asked for is known.", ("response_model",)),
        (
            Name.NO_RESPONSE_ID,
            "the response id",
            "Reviews can not name the call by it, and duplicates are harder to recognise.",
            ("response_id",),
        ),
        (
            Name.NO_USAGE,
            "token counts",
            "The trail can not tell what the call cost.",
            ("input_tokens", "output_tokens"),
        ),
    ):
        if not has(*columns):
            yield note(
                _P, name, f"{_api(call)} arrived without {what}", f"{listed(scopes)} leaves it out. {follows}",
                "Upgrade the instrumentation, or use another.",
            )  # fmt: skip
    if not has("provider_request_id"):
        yield note(
            _P,
            Name.NO_PROVIDER_REQUEST_ID,
            f"{_api(call)} arrived without the provider's request id",
            "It is what a provider's support asks for; instrumentations rarely carry it.",
        )
    if not has("task_id"):
        yield problem(
            _P,
            Name.NO_TASK,
            f"{_api(call)} arrived without the task that it was made in",
            "The instrumentation starts its span outside of the caller's context.",
            "Upgrade the instrumentation, or use another.",
        )


def _without_texts(
    call: Call, missing: str, scopes: Sequence[str], installed: Installed, env: Mapping[str, str]
) -> Finding:
    hook = env.get(HOOK_VARIABLE, "").strip()
    mode = env.get(CONTENT_VARIABLE, "").strip().upper()
    official = any(each.startswith("opentelemetry.instrumentation.genai.") for each in scopes)
    steps = content_switches(scopes)
    if hiding := sorted(name for name in env if name.startswith(_HIDING)):
        steps = [f"$ unset {' '.join(hiding)}"]
    if official and hook not in ("", OUR_HOOK):
        why = f"{HOOK_VARIABLE} names another hook, and {CONTENT_VARIABLE} has the spans carry no texts."
    elif official and mode not in CONTENT_MODES[1:]:
        why = f"{CONTENT_VARIABLE} has the spans carry no texts."
    elif installed.active:
        why = "The instrumentation was told to leave texts out, or does not know them."
    else:
        why = f"{listed(scopes)} reports it, and nothing instruments the client."
        steps = [f"$ pip install {installed.client.proposed}"]
    return problem(
        _P,
        Name.NO_CONTENT,
        f"{_api(call)} arrived without {missing}",
        f"{why} The trail shows that there was a call, not what was said.",
        *steps,
    )
