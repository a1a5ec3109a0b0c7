"""Pydantic AI: an agent that answers, instrumented by the switch the framework has."""

import os
import sys

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

Agent.instrument_all()
provider = OpenAIProvider(base_url=os.environ["PROVIDER"] + "/v1", api_key="test")
agent = Agent(OpenAIChatModel("gpt-4o-mini", provider=provider), name="assessor")
agent.run_sync("Is the income of jane.roe@example.com enough?")
print("called", flush=True)
sys.stdin.read()
