"""The OpenAI client: a chat, a stream, and a request that fails."""

import contextlib
import os
import sys

import openai

client = openai.OpenAI(base_url=os.environ["PROVIDER"] + "/v1", api_key="test", max_retries=0)
question = [{"role": "user", "content": "Is the income of jane.roe@example.com enough?"}]
client.chat.completions.create(model="gpt-4o-mini", messages=question, temperature=0.2)
for _ in client.chat.completions.create(model="gpt-4o-mini", messages=question, stream=True):
    pass
with contextlib.suppress(openai.InternalServerError):
    client.chat.completions.create(model="broken", messages=question)
print("called", flush=True)
sys.stdin.read()
