"""What each dialect's odd spellings and types become."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_audit.conventions import spellings
from tests.unit.convention_events import log, span

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m"}
TOP = [{"token": "Yes", "logprob": -0.1, "top_logprobs": [{"token": "No", "logprob": -2.5}]}]


def configuration(event: Any) -> dict[str, str]:
    """The stated configuration."""
    return dict(event.columns.get("configuration", ()))


def content(event: Any, name: str) -> Any:
    """A content as the JSON it is."""
    return json.loads(event.content[name])


# --- one spelling


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (["stop"], ["stop"]),
        (["tool_calls"], ["tool_call"]),
        (["tool_call", "tool_use", "tool-calls"], ["tool_call"] * 3),
        ("tool-calls", ["tool_call"]),
        ('["tool_calls"]', ["tool_call"]),
        ('"end_turn"', ["stop"]),
        ("stop, length", ["stop", "length"]),
        (["MAX_TOKENS", "FinishReason.SAFETY"], ["length", "content_filter"]),
        (["Pause_Turn"], ["pause_turn"]),
        ("[not json", ["[not json"]),
        ([], None),
        ([None, ["stop"]], None),
        (b"stop", None),
    ],
)
def test_finish_reasons_have_one_spelling(sent: Any, told: list[str] | None) -> None:
    """Finish reasons are a list in one spelling, however they came; a reason nobody knows stays, in lower case."""
    assert spellings.reasons(sent) == told


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("openai", "openai"),
        ("OpenAI", "openai"),
        ("openai.chat", "openai"),
        ("openai.responses", "openai"),
        ("aws.bedrock", "aws.bedrock"),
        ("az.ai.openai", "az.ai.openai"),
        ("langchain", ""),
        ("strands-agents", ""),
        (5, "5"),
        (["openai"], None),
        ("x" * 300, None),
    ],
)
def test_providers_have_one_spelling(sent: Any, told: str | None) -> None:
    """A provider is in lower case and without its API's name; a framework is no provider."""
    assert spellings.provider(sent) == told
    assert spellings.provider(sent) == told  # remembered


def test_what_was_sent_stays_in_the_attributes() -> None:
    """The columns have one spelling, the attributes what came."""
    event = span({**CHAT, "gen_ai.provider.name": "OpenAI", "gen_ai.response.finish_reasons": '["tool-calls"]'})
    assert (event.columns["provider"], event.columns["finish_reason"]) == ("openai", ["tool_call"])
    assert ("gen_ai.provider.name", "OpenAI") in event.columns["attributes"]
    assert ("gen_ai.response.finish_reasons", '["tool-calls"]') in event.columns["attributes"]


# --- OTel GenAI


def test_a_template_in_a_framework_is_no_call() -> None:
    """A prompt template marked chat whose only provider is a framework is a span."""
    template = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "langchain"}
    assert span(template).columns["event_type"] == "span"
    assert span({**template, "gen_ai.request.model": "m"}).columns["event_type"] == "ai_call"


@pytest.mark.parametrize("what", ["input.messages", "output.messages", "system_instructions", "tool.definitions"])
def test_content_by_reference(what: str) -> None:
    """Content that the upload hook put elsewhere stays a reference, and is remarked on the AI call."""
    event = span({**CHAT, f"gen_ai.{what}_ref": "memory://a/b.json"})
    assert event.columns["remarks"] == ["content_by_reference"]
    assert (f"gen_ai.{what}_ref", "memory://a/b.json") in event.columns["attributes"]
    agent = span({"gen_ai.operation.name": "invoke_agent", f"gen_ai.{what}_ref": "memory://a/b.json"})
    assert "remarks" not in agent.columns


def test_several_details_events_of_one_call_each_give_their_part() -> None:
    """An emitter may send one attribute an event: each of the span's log records gives what it has."""
    context = {"trace_id": b"t" * 16, "span_id": b"s" * 8, "flags": 1}
    name = "gen_ai.client.inference.operation.details"
    messages = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    first = log(name, {"gen_ai.input.messages": messages}, **context)
    second = log(name, {"gen_ai.system_instructions": "Be brief."}, **context)
    assert [event.columns["event_type"] for event in (first, second)] == ["log", "log"]
    assert content(first, "input") == messages
    assert content(second, "system_instructions") == [{"type": "text", "content": "Be brief."}]


def test_content_in_span_events() -> None:
    """Messages and choices that came as span events are the call's content."""
    event = span(
        {**CHAT, "gen_ai.provider.name": "strands-agents"},
        events=[
            ("gen_ai.system.message", {"content": '[{"text": "Be brief."}]'}),
            ("gen_ai.user.message", {"content": '[{"text": "hi"}]'}),
            (
                "gen_ai.choice",
                {
                    "message": '[{"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}}]',
                    "finish_reason": "tool_use",
                },
            ),
        ],
    )
    assert content(event, "input") == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "hi"}]},
    ]
    assert content(event, "system_instructions") == [{"type": "text", "content": "Be brief."}]
    (answer,) = content(event, "output")
    assert answer["parts"] == [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": 1}}]
    assert event.columns["finish_reason"] == ["tool_call"]
    assert event.columns.get("provider", "") == ""


def test_a_choice_with_tool_calls_beside_the_message() -> None:
    """Tool calls that lie beside the message of a choice are part of the answer."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    context = {"trace_id": b"t" * 16, "span_id": b"s" * 8, "flags": 1}
    event = log("gen_ai.choice", {}, {"index": 0, "message": {"content": None}, "tool_calls": [call]}, **context)
    (answer,) = content(event, "output")
    assert answer["parts"] == [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": 1}}]


def test_the_tool_that_was_asked_for_is_no_tool_call() -> None:
    """An AI call that names the tool it asked for has no tool columns: the tool's own span has them."""
    event = span({**CHAT, "gen_ai.tool.name": "f", "gen_ai.tool.call.id": "c1"})
    assert "tool_name" not in event.columns
    assert "tool_call_id" not in event.columns


# --- defaults that nobody set

OPENLIT_DEFAULTS = {
    "gen_ai.request.temperature": 1.0,
    "gen_ai.request.top_p": 1.0,
    "gen_ai.request.top_k": 1.0,
    "gen_ai.request.frequency_penalty": 0.0,
    "gen_ai.request.presence_penalty": 0.0,
    "gen_ai.request.seed": 0,
    "gen_ai.request.stop_sequences": [],
    "gen_ai.request.user": "",
    "gen_ai.request.stream": False,
}


def test_openlit_defaults_are_no_configuration() -> None:
    """What OpenLIT writes when nobody set it is kept as attributes, and is no stated configuration."""
    event = span({**CHAT, **OPENLIT_DEFAULTS}, scope="openlit.instrumentation.openai")
    assert configuration(event) == {}
    kept = dict((*event.columns["attributes"], *event.columns["attributes_json"]))
    assert OPENLIT_DEFAULTS.keys() <= kept.keys()
    assert kept["gen_ai.request.temperature"] == "1.0"
    elsewhere = span({**CHAT, **OPENLIT_DEFAULTS}, scope="opentelemetry.instrumentation.genai.openai")
    assert configuration(elsewhere)["temperature"] == "1.0"


def test_openlit_settings_that_somebody_set_are_stated() -> None:
    """A temperature of 0, which came as an int, and any value that is no default, is stated."""
    set_by_somebody = {"gen_ai.request.temperature": 0, "gen_ai.request.seed": 42, "gen_ai.request.stream": True}
    event = span({**CHAT, **OPENLIT_DEFAULTS, **set_by_somebody}, scope="openlit.instrumentation.openai")
    assert configuration(event) == {"temperature": "0", "seed": "42", "stream": "true"}


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        (
            {"temperature": 1, "max_tokens": "Infinity", "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0},
            {},
        ),
        (
            {"temperature": 0, "max_tokens": "Infinity", "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0.5},
            {"temperature": "0", "presence_penalty": "0.5"},
        ),
        ({"temperature": 1}, {"temperature": "1"}),  # written by hand: stated
    ],
)
def test_langfuse_defaults_are_no_configuration(parameters: dict[str, Any], told: dict[str, str]) -> None:
    """The five values that Langfuse's client wrapper writes on every call are stated only where they differ."""
    attributes = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.parameters": json.dumps(parameters),
    }
    assert configuration(span(attributes)) == told


# --- OpenLLMetry


def test_indexed_messages() -> None:
    """Messages of one attribute a field are put together in the order of their numbers, with tool calls and answers."""
    event = span(
        {
            "llm.request.type": "chat",
            "gen_ai.system": "OpenAI",
            "gen_ai.request.model": "m",
            "gen_ai.request.temperature": 0,
            "llm.top_k": 5,
            "llm.is_streaming": "True",
            "gen_ai.prompt.10.role": "user",
            "gen_ai.prompt.10.content": '{"a": 1}',
            "gen_ai.prompt.2.role": "tool",
            "gen_ai.prompt.2.tool_call_id": "c1",
            "gen_ai.prompt.2.content": "42",
            "gen_ai.prompt.1.role": "assistant",
            "gen_ai.prompt.1.tool_calls.0.id": "c1",
            "gen_ai.prompt.1.tool_calls.0.name": "f",
            "gen_ai.prompt.1.tool_calls.0.arguments": '{"x": 1}',
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": '[{"type": "text", "text": "hi"}, '
            '{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]',
            "gen_ai.prompt.x.role": "odd",
            "gen_ai.completion.0.finish_reason": "tool_use",
            "gen_ai.completion.0.content": "ok",
            "gen_ai.usage.prompt_tokens": "57",
            "gen_ai.usage.completion_tokens": 21,
        }
    )
    columns = event.columns
    assert (columns["event_type"], columns["operation"], columns["provider"]) == ("ai_call", "chat", "openai")
    assert (columns["input_tokens"], columns["output_tokens"]) == (57, 21)
    assert columns["finish_reason"] == ["tool_call"]
    assert configuration(event) == {"temperature": "0", "top_k": "5", "stream": "true"}
    first, second, third, fourth = content(event, "input")
    assert [part["type"] for part in first["parts"]] == ["text", "blob"]
    assert second["parts"] == [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {"x": 1}}]
    assert third["parts"] == [{"type": "tool_call_response", "id": "c1", "response": "42"}]
    assert fourth["parts"] == [{"type": "text", "content": '{"a": 1}'}]
    assert ("gen_ai.prompt.x.role", "odd") in columns["attributes"]


@pytest.mark.parametrize(
    ("kind", "event_type", "operation"),
    [
        ("chat", "ai_call", "chat"),
        ("completion", "ai_call", "text_completion"),
        ("embedding", "ai_call", "embeddings"),
        ("rerank", "span", "rerank"),
    ],
)
def test_llm_request_types(kind: str, event_type: str, operation: str) -> None:
    """The type of a request of before says what it is; one that is no model call has no usage."""
    event = span({"llm.request.type": kind, "gen_ai.usage.prompt_tokens": 5})
    assert (event.columns["event_type"], event.columns["operation"]) == (event_type, operation)
    assert event.columns.get("input_tokens") == (5 if event_type == "ai_call" else None)


def test_traceloop_prompt_and_associations() -> None:
    """Prompt name and version, user and session are where the SDK puts them; they name columns, the rest is content."""
    event = span(
        {
            "llm.request.type": "chat",
            "traceloop.prompt.key": "assess",
            "traceloop.prompt.version": 3,
            "traceloop.prompt.version_hash": "abc",
            "traceloop.association.properties.user_id": "u1",
            "traceloop.association.properties.session_id": "s1",
            "traceloop.association.properties.note": "Jane Roe",
            "traceloop.workflow.name": "loan",
        }
    )
    columns = event.columns
    assert (columns["prompt_name"], columns["prompt_version"]) == ("assess", "3")
    assert (columns["user_id"], columns["conversation_id"], columns["agent_name"]) == ("u1", "s1", "loan")
    assert "Jane Roe" not in repr(columns)


def test_a_choice_that_lost_its_span_is_no_second_call() -> None:
    """Traceloop's log of a stream that has ended comes without its span, which is sent all the same."""
    event = log("gen_ai.choice", {}, {"index": 0}, scope="opentelemetry.instrumentation.openai.v1")
    assert event.columns["event_type"] == "log"
    assert event.columns["remarks"] == ["span_unknown"]


# --- log probabilities


@pytest.mark.parametrize(
    "output",
    [
        {"id": "r1", "choices": [{"finish_reason": "stop", "logprobs": {"content": TOP}}, {"logprobs": None}]},
        {"id": "r1", "output": [{"type": "message", "content": [{"text": "Yes", "logprobs": TOP}]}]},
        {"generations": [[{"generation_info": {"logprobs": {"content": TOP}}}]], "llm_output": {"id": "r1"}},
        {
            "raw": "ChatCompletion(id='r1', choices=[Choice(finish_reason='stop', index=0, logprobs=ChoiceLogprobs("
            "content=[ChatCompletionTokenLogprob(token='Yes', bytes=[89, 101, 115], logprob=-0.1, top_logprobs=["
            "TopLogprob(token='No', bytes=None, logprob=-2.5)])], refusal=None), message=None)], model='m', "
            "object='chat.completion', system_fingerprint='fp')"
        },
    ],
)
def test_log_probabilities_of_an_answer(output: Any) -> None:
    """Log probabilities in any form of answer become the one form, and the response's id a column."""
    event = span({"openinference.span.kind": "LLM", "output.value": json.dumps(output)})
    assert content(event, "logprobs") == [{"content": TOP}]
    assert event.columns["response_id"] == "r1"


@pytest.mark.parametrize("logprobs", [TOP, [TOP]])
def test_vercel_log_probabilities(logprobs: Any) -> None:
    """Log probabilities in a provider's metadata become the one form."""
    event = span(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.response.providerMetadata": json.dumps({"openai": {"logprobs": logprobs}}),
        }
    )
    assert content(event, "logprobs") == [{"content": TOP}]


@pytest.mark.parametrize(
    "text", ["", "[", "null", "5", '{"choices": 5}', '{"choices": [5]}', '{"output": [{"content": 5}]}']
)
def test_an_odd_answer_has_no_log_probabilities(text: str) -> None:
    """An answer of another form has none, and is kept."""
    event = span({"openinference.span.kind": "LLM", "output.value": text})
    assert "logprobs" not in event.content
    assert "remarks" not in event.columns


# --- LangChain through OpenInference, smolagents


def test_langchain_settings_leave_its_own_out() -> None:
    """LangChain's own parameters, empty ones and the ``stream`` it always says are no stated configuration."""
    parameters = {"model": "m", "model_name": "m", "_type": "openai-chat", "stop": None, "stream": False, "seed": 7}
    event = span({"openinference.span.kind": "LLM", "llm.invocation_parameters": json.dumps(parameters)})
    assert configuration(event) == {"seed": "7"}
    said = span({"openinference.span.kind": "LLM", "llm.invocation_parameters": '{"stream": false}'})
    assert configuration(said) == {"stream": "false"}


def test_tool_envelopes_are_opened() -> None:
    """Arguments and results are what the tool got and gave, without smolagents' and LangChain's envelopes."""
    event = span(
        {
            "openinference.span.kind": "TOOL",
            "input.value": '{"args": [], "sanitize_inputs_outputs": true, "kwargs": {"a": 1}}',
            "output.value": '{"type": "tool", "data": {"content": "42", "tool_call_id": "c1"}}',
        }
    )
    assert content(event, "tool_arguments") == {"a": 1}
    assert event.content["tool_result"] == "42"
    assert event.columns["tool_call_id"] == "c1"


# --- Vercel


def test_vercel_root_spans_repeat_no_usage() -> None:
    """The span around a request repeats its usage, and is no AI call."""
    event = span({"ai.operationId": "ai.generateText", "ai.usage.inputTokens": 5, "gen_ai.usage.input_tokens": 5})
    assert event.columns["event_type"] == "span"
    assert "input_tokens" not in event.columns


def test_vercel_settings() -> None:
    """Settings have the other conventions' names; the SDK's default for retries is not stated."""
    settings = {"maxOutputTokens": 9, "topP": 0.5, "maxRetries": 2, "stopSequences": ["END"], "temperature": 0}
    event = span(
        {"ai.operationId": "ai.streamText.doStream", **{f"ai.settings.{key}": value for key, value in settings.items()}}
    )
    assert configuration(event) == {"max_tokens": "9", "top_p": "0.5", "stop_sequences": '["END"]', "temperature": "0"}
    retried = span({"ai.operationId": "ai.streamText.doStream", "ai.settings.maxRetries": 5})
    assert configuration(retried) == {"max_retries": "5"}


def test_vercel_messages() -> None:
    """Reasoning, tool calls and their results are parts in the common form."""
    event = span(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.prompt.messages": json.dumps(
                [
                    {
                        "role": "assistant",
                        "content": [{"type": "tool-call", "toolCallId": "c", "toolName": "f", "args": {"a": 1}}],
                    },
                    {
                        "role": "tool",
                        "content": [{"type": "tool-result", "toolCallId": "c", "result": {"b": 2}}],
                    },
                ]
            ),
            "ai.response.reasoning": "hm",
            "ai.response.text": "yes",
        }
    )
    assert [message["parts"] for message in content(event, "input")] == [
        [{"type": "tool_call", "id": "c", "name": "f", "arguments": {"a": 1}}],
        [{"type": "tool_call_response", "id": "c", "response": {"b": 2}}],
    ]
    assert [part["content"] for part in content(event, "output")[0]["parts"]] == ["hm", "yes"]


# --- LangSmith, LiteLLM


@pytest.mark.parametrize(
    ("kind", "event_type", "operation"),
    [
        ("llm", "ai_call", "chat"),
        ("embedding", "ai_call", "embeddings"),
        ("tool", "tool_call", "execute_tool"),
        ("prompt", "span", "prompt"),
        ("chain", "span", "chain"),
        ("retriever", "span", "retrieval"),
    ],
)
def test_langsmith_kinds(kind: str, event_type: str, operation: str) -> None:
    """The run's kind decides: a prompt template says ``chat``, and a retriever ``embeddings``, like model calls."""
    sent = {"prompt": "chat", "llm": "chat", "retriever": "embeddings"}.get(kind, kind)
    event = span(
        {
            "langsmith.span.kind": kind,
            "gen_ai.operation.name": sent,
            "gen_ai.system": "openai",
            "gen_ai.request.model": "m",
            "gen_ai.usage.input_tokens": 5,
            "gen_ai.prompt": '{"input": "x"}',
        },
        name="run",
    )
    assert (event.columns["event_type"], event.columns["operation"]) == (event_type, operation)
    assert event.columns.get("input_tokens") == (5 if event_type == "ai_call" else None)


def test_langsmith_openai_run() -> None:
    """A run of the wrapped OpenAI client: the request's settings, the answer's identity, reasons and probabilities."""
    request = {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "temperature": 0,
        "user": "u1",
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    answer = {
        "id": "r1",
        "model": "m-1",
        "system_fingerprint": "fp",
        "choices": [
            {"message": {"role": "assistant", "content": "yo"}, "finish_reason": "stop", "logprobs": {"content": TOP}}
        ],
        "usage_metadata": {"input_token_details": {"cache_read": 3}, "output_token_details": {"reasoning": 2}},
    }
    event = span(
        {
            "langsmith.span.kind": "llm",
            "gen_ai.request.model": "m",
            "gen_ai.response.finish_reasons": "stop",
            "gen_ai.usage.input_token_details": "{'cache_read': 3}",
            "gen_ai.prompt": json.dumps(request),
            "gen_ai.completion": json.dumps(answer),
            "langsmith.metadata.thread_id": "t1",
            "langsmith.metadata.lc_hub_repo": "assess",
        }
    )
    columns = event.columns
    assert (columns["response_id"], columns["response_model"], columns["model_fingerprint"]) == ("r1", "m-1", "fp")
    assert (columns["user_id"], columns["conversation_id"], columns["prompt_name"]) == ("u1", "t1", "assess")
    assert (columns["cache_read_tokens"], columns["reasoning_tokens"]) == (3, 2)
    assert columns["finish_reason"] == ["stop"]
    assert configuration(event) == {"temperature": "0"}
    assert [message["role"] for message in content(event, "input")] == ["system", "user"]
    assert content(event, "output")[0]["parts"] == [{"type": "text", "content": "yo"}]
    assert content(event, "logprobs") == [{"content": TOP}]
    assert content(event, "tool_definitions") == request["tools"]


def test_langsmith_langchain_run() -> None:
    """A run of a LangChain model: its message objects are messages."""
    human = {"lc": 1, "type": "constructor", "id": ["HumanMessage"], "kwargs": {"content": "hi", "type": "human"}}
    told = {
        "content": "",
        "type": "ai",
        "tool_calls": [{"id": "c", "name": "f", "args": {"a": 1}}],
        "usage_metadata": {"input_token_details": {"cache_read": 3}},
    }
    answer = {
        "generations": [
            [{"text": "", "generation_info": {"finish_reason": "tool_calls"}, "message": {"lc": 1, "kwargs": told}}]
        ],
        "llm_output": {"id": "r1", "model_name": "m-1"},
    }
    event = span(
        {
            "langsmith.span.kind": "llm",
            "gen_ai.prompt": json.dumps({"messages": [[human]]}),
            "gen_ai.completion": json.dumps(answer),
        }
    )
    assert content(event, "input") == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    (message,) = content(event, "output")
    assert message["parts"] == [{"type": "tool_call", "id": "c", "name": "f", "arguments": {"a": 1}}]
    assert event.columns["finish_reason"] == ["tool_call"]
    assert (event.columns["response_id"], event.columns["response_model"]) == ("r1", "m-1")
    assert event.columns["cache_read_tokens"] == 3


def test_litellm() -> None:
    """The request's span is the AI call; the raw request below it, and the proxy's own spans, are not."""
    attributes = {
        "gen_ai.request.model": "gpt",
        "llm.request.type": "acompletion",
        "gen_ai.system": "Unknown",
        "llm.is_streaming": "False",
        "gen_ai.input.messages": '[{"role": "user", "content": "hi"}]',
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "yo",
        "gen_ai.completion.0.finish_reason": "stop",
        "gen_ai.usage.prompt_tokens": 5,
        "gen_ai.request.max_tokens": 9,
        "llm.user": "u1",
    }
    event = span(attributes, scope="litellm", name="litellm_request")
    columns = event.columns
    assert (columns["event_type"], columns["operation"], columns["input_tokens"]) == ("ai_call", "chat", 5)
    assert (columns["user_id"], columns["finish_reason"]) == ("u1", ["stop"])
    assert columns.get("provider", "") == ""
    assert configuration(event) == {"max_tokens": "9"}
    assert content(event, "output")[0]["parts"] == [{"type": "text", "content": "yo"}]
    for name, told in (
        ("raw_gen_ai_request", attributes),
        ("auth", {"service": "x"}),
        ("litellm_request", {"llm.request.type": "acreate_file", "gen_ai.request.model": "x"}),
    ):
        other = span(told, scope="litellm", name=name)
        assert (other.columns["event_type"], other.columns["convention"]) == ("span", "litellm")
        assert "input_tokens" not in other.columns


# --- Langfuse, Pydantic AI


def test_langfuse_usage_in_either_words() -> None:
    """Usage is told in Langfuse's own words or in the provider's."""
    own = {"input": 57, "output": "21", "cache_read_input_tokens": 16}
    theirs = {"prompt_tokens": 57, "completion_tokens": 21, "prompt_tokens_details": {"cached_tokens": 16}}
    for usage in (own, theirs):
        attributes = {
            "langfuse.observation.type": "generation",
            "langfuse.observation.usage_details": json.dumps(usage),
        }
        columns = span(attributes).columns
        assert [columns[f"{what}_tokens"] for what in ("input", "output", "cache_read")] == [57, 21, 16]


def test_langfuse_prompt_and_tool() -> None:
    """The prompt's name and version are columns, a version that is a number too; a tool is a tool call."""
    event = span(
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.prompt.name": "assess",
            "langfuse.observation.prompt.version": 3,
        }
    )
    assert (event.columns["prompt_name"], event.columns["prompt_version"]) == ("assess", "3")
    tool = span({"langfuse.observation.type": "tool", "langfuse.observation.input": "{}"}, name="lookup")
    assert (tool.columns["event_type"], tool.columns["tool_name"]) == ("tool_call", "lookup")


def test_pydantic_ai_tools_of_version_2() -> None:
    """Version 2 names a tool's arguments and result in its own words."""
    event = span(
        {"gen_ai.operation.name": "execute_tool", "tool_arguments": '{"a":1}', "tool_response": "42"},
        scope="pydantic-ai",
    )
    assert (event.content["tool_arguments"], event.content["tool_result"]) == ('{"a":1}', "42")


# --- HTTP


def test_request_ids_in_http_headers() -> None:
    """The provider's request id is on the request to its API; a service's own header is its caller's request id."""
    header = "http.response.header.x_request_id"
    provider = span({"url.full": "https://api.openai.com/v1/chat/completions?x=1", header: ["req_1"]})
    assert provider.columns["provider_request_id"] == "req_1"
    assert provider.columns["event_type"] == "span"
    other = span({"url.full": "https://shop/orders", header: ["req_2"]})
    assert "provider_request_id" not in other.columns
    server = span({"url.path": "/score", "http.request.header.x_request_id": ["app-1", "app-2"], header: ["req_3"]})
    assert (server.columns["request_id"], server.columns.get("provider_request_id")) == ("app-1", None)
