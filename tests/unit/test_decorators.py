"""Tasks, prompts and reviews as decorators of functions, methods and coroutine functions."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import baggage, context

import otel_audit as audit
from otel_audit import semconv
from otel_audit.instrumentation import _faults
from tests.unit.recording import Recording, typed


@pytest.fixture
def recording() -> Recording:
    return Recording()


@pytest.fixture(autouse=True)
def no_errors() -> Iterator[None]:
    """Each test starts with empty counters, and leaves the context as it found it."""
    _faults._counts.clear()
    _faults._logged.clear()
    before = context.get_current()
    yield
    assert context.get_current() == before


@dataclass
class Application:
    loan_id: str


def here() -> object:
    return baggage.get_baggage(semconv.AUDIT_TASK_ID)


def test_the_task_comes_from_an_argument(recording: Recording) -> None:
    """An argument's name finds it however it is passed: by place, by name, by default or among further ones."""

    @recording.audit.task(id_from="loan_id", kind="credit_decision")
    def draft(case: str, loan_id: str = "loan-0") -> object:
        return here()

    @recording.audit.task(id_from="loan_id")
    def further(**kwargs: str) -> object:
        return here()

    assert [draft("c", "loan-1"), draft("c", loan_id="loan-2"), draft("c")] == ["loan-1", "loan-2", "loan-0"]
    assert further(loan_id="loan-3") == "loan-3"
    created = [typed(span) for span in recording.spans]
    assert [attributes[semconv.AUDIT_TASK_ID] for attributes in created] == ["loan-1", "loan-2", "loan-0", "loan-3"]
    assert created[0][semconv.AUDIT_TASK_KIND] == "credit_decision"
    assert audit.error_counts() == {}


def test_the_task_comes_from_a_function_of_the_arguments(recording: Recording) -> None:
    """A function of all arguments finds the task, for a method and its self too; a fixed id serves every call."""

    class Desk:
        @recording.audit.task(id_from=lambda desk, application: application.loan_id)
        def draft(self, application: Application) -> object:
            return here()

        @recording.audit.task("nightly", join=True)
        def batch(self) -> object:
            return here()

    assert Desk().draft(Application("loan-1")) == "loan-1"
    assert Desk().batch() == "nightly"
    assert [span.name for span in recording.spans] == ["task.created"]


def test_coroutine_functions_keep_tasks_apart(recording: Recording) -> None:
    """Concurrent calls of a decorated coroutine function each have their own task until they end."""

    @recording.audit.task(id_from="loan_id")
    async def draft(loan_id: str, turn: asyncio.Event, other: asyncio.Event) -> object:
        turn.set()
        await other.wait()
        return here()

    async def both() -> list[object]:
        first, second = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(draft("a", first, second), draft("b", second, first))

    assert inspect.iscoroutinefunction(draft)
    assert asyncio.run(both()) == ["a", "b"]


def test_a_decorated_function_stays_what_it_was(recording: Recording) -> None:
    """Signature, name and documentation stay, and so do results and exceptions."""

    def draft(loan_id: str, *, fails: bool = False) -> str:
        """Write a draft."""
        if fails:
            raise KeyError(loan_id)
        return f"draft of {loan_id}"

    decorated = recording.audit.task(id_from="loan_id")(recording.audit.prompt("credit", "3")(draft))
    assert inspect.signature(decorated) == inspect.signature(draft)
    assert (decorated.__name__, decorated.__doc__) == ("draft", "Write a draft.")
    assert decorated("loan-1") == "draft of loan-1"
    with pytest.raises(KeyError, match="loan-2"):
        decorated("loan-2", fails=True)
    with pytest.raises(TypeError, match="loan_id"):
        decorated()  # type: ignore[call-arg]


def test_a_prompt_decorates_a_function(recording: Recording) -> None:
    """Spans inside a decorated function carry the prompt."""

    @recording.audit.prompt("credit-summary", "3.2")
    def call() -> None:
        recording.provider.get_tracer("app").start_span("call").end()

    call()
    assert typed(recording.one("call"))[semconv.AUDIT_PROMPT_VERSION] == "3.2"


@pytest.mark.parametrize("source", ["missing", lambda *args: 1 / 0])
def test_an_argument_that_is_not_there_is_counted(recording: Recording, source: Any) -> None:
    """A wrong name, or a function that fails, is counted; the decorated function runs."""

    @recording.audit.task(id_from=source)
    def draft(loan_id: str) -> str:
        return "ran"

    assert draft("loan-1") == "ran"
    assert audit.error_counts()["task"] == 1


def test_generator_functions_are_left_alone(recording: Recording) -> None:
    """A generator function comes back as it is, and that is counted: its caller would run inside the block."""

    def numbers() -> Iterator[int]:
        yield 1

    async def letters() -> AsyncIterator[str]:
        yield "a"

    decorate = recording.audit.task("t")
    assert decorate(numbers) is numbers
    assert decorate(letters) is letters
    assert audit.error_counts() == {"task": 2}


def test_a_review_decorates_a_function(recording: Recording) -> None:
    """Each call is a review of its own, of the task and by the reviewer that its arguments tell."""

    @recording.audit.review(id_from="loan_id", reviewer_from=lambda loan_id, user: user["id"], queue_wait_seconds=3)
    def look(loan_id: str, user: dict[str, str]) -> None:
        recording.clock.advance(10)
        audit.current_review().modify("a", "b")

    look("loan-1", {"id": "u_1"})
    look("loan-2", user={"id": "u_2"})
    first, second = (typed(span) for span in recording.spans)
    assert (first[semconv.AUDIT_TASK_ID], first[semconv.AUDIT_REVIEWER_ID]) == ("loan-1", "u_1")
    assert (second[semconv.AUDIT_TASK_ID], second[semconv.AUDIT_REVIEWER_ID]) == ("loan-2", "u_2")
    assert first[semconv.AUDIT_REVIEW_ID] != second[semconv.AUDIT_REVIEW_ID]
    assert first[semconv.AUDIT_REVIEW_DECISION] == "modified"
    assert first[semconv.AUDIT_REVIEW_ACTIVE_SECONDS] == 10.0
    assert second[semconv.AUDIT_REVIEW_QUEUE_WAIT_SECONDS] == 3.0


def test_a_decorated_review_decides_by_its_result(recording: Recording) -> None:
    """decision_from makes the decision of the result, unless the function decided; without both it is abandoned."""

    @recording.audit.review("t", reviewer="u", decision_from=lambda answer: answer["decision"])
    async def ask(*, decides: bool) -> dict[str, str]:
        await asyncio.sleep(0)
        if decides:
            recording.audit.current_review().reject(rationale="own word")
        return {"decision": "approved"}

    @recording.audit.review("t", reviewer="u")
    def forget() -> str:
        return "approved"

    @recording.audit.review("t", reviewer="u", decision_from=lambda answer: answer.decision)
    def odd() -> str:
        return "no decision in here"

    assert asyncio.run(ask(decides=False)) == {"decision": "approved"}
    asyncio.run(ask(decides=True))
    forget()
    assert odd() == "no decision in here"
    decisions = [typed(span)[semconv.AUDIT_REVIEW_DECISION] for span in recording.spans]
    assert decisions == ["approved", "rejected", "abandoned", "abandoned"]
    assert audit.error_counts() == {"review": 1}


def test_the_current_review_is_the_innermost(recording: Recording) -> None:
    """current_review() is the block's own, and the outer one's again after it; outside it is counted and harmless."""
    with recording.audit.review("t", reviewer="u_1") as outer:
        with recording.audit.review("t", reviewer="u_2") as inner:
            assert recording.audit.current_review() is inner
        assert recording.audit.current_review() is outer
    assert audit.error_counts() == {}
    recording.audit.current_review().approve()
    assert audit.error_counts() == {"review": 2}
    assert len(recording.spans) == 2
