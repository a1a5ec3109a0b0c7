"""The Anthropic client: one message."""

import os
import sys

import anthropic

client = anthropic.Anthropic(base_url=os.environ["PROVIDER"], api_key="test", max_retries=0)
question = [{"role": "user", "content": "Is the income of jane.roe@example.com enough?"}]
client.messages.create(model="claude-sonnet-4-5", max_tokens=100, messages=question)
print("called", flush=True)
sys.stdin.read()
