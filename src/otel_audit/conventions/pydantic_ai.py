"""Pydantic AI, https://ai.pydantic.dev/logfire/ (also as Logfire sends it): the OTel GenAI conventions and more.

Version 2 of its spans names a tool's arguments and result in its own words.
"""

from __future__ import annotations

import re
from typing import Final

from otel_audit.conventions import otel_genai
from otel_audit.conventions.derived import APPROVAL_REQUESTED, notice_answered
from otel_audit.conventions.draft import Draft
from otel_audit.conventions.messages import parsed_object
from otel_audit.conventions.record import Record
from otel_audit.conventions.values import Value
from otel_audit.model import EventType

NAME: Final = "pydantic_ai"

SCOPES: Final = re.compile(r"pydantic-ai$")
_PARAMETERS: Final = "model_request_parameters"
_NEEDS_APPROVAL: Final = "unapproved"  # the `kind` of a tool that runs only when a person approved


def detect(record: Record) -> bool:
    """A GenAI record of the package's scope."""
    return SCOPES.match(record.source.scope_name) is not None and otel_genai.detect(record)


def apply(record: Record, draft: Draft) -> None:
    """Columns and content of a span of Pydantic AI."""
    otel_genai.apply(record, draft)
    attributes = record.attributes
    event_type = draft.columns["event_type"]
    if event_type == EventType.TOOL_CALL:
        draft.take("tool_arguments", "tool_arguments")
        draft.take("tool_result", "tool_response")
    elif event_type == EventType.AI_CALL:
        parameters = attributes.get(_PARAMETERS)
        if isinstance(parameters, str) and f'"{_NEEDS_APPROVAL}"' in parameters:
            notice_answered(draft, _guarded_tools(parsed_object(parameters)))
    else:
        result = parsed_object(attributes.get("final_result"))
        if isinstance(result, dict) and isinstance(result.get("approvals"), list) and result["approvals"]:
            draft.remark(APPROVAL_REQUESTED)


def _guarded_tools(parameters: Value) -> list[str]:
    tools = parameters.get("function_tools") if isinstance(parameters, dict) else None
    return [
        str(tool.get("name"))
        for tool in (tools if isinstance(tools, list) else [])
        if isinstance(tool, dict) and tool.get("kind") == _NEEDS_APPROVAL
    ]
