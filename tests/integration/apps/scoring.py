"""A Flask service that asks the model."""

import os

import openai
from flask import Flask

app = Flask(__name__)
client = openai.OpenAI(base_url=os.environ["PROVIDER"] + "/v1", api_key="test", max_retries=0)


@app.get("/score/<loan>")
def score(loan: str) -> str:
    question = [{"role": "user", "content": f"Is the income for {loan} enough?"}]
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=question)
    return answer.choices[0].message.content or ""


@app.get("/pid")
def pid() -> str:
    return str(os.getpid())
