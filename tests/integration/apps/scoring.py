"""A Flask service that asks the model: ``tests.integration.apps.scoring:app``."""

import os
from concurrent.futures import ThreadPoolExecutor

import openai
from flask import Flask

app = Flask(__name__)
pool = ThreadPoolExecutor(2)


def ask(loan: str) -> str:
    client = openai.OpenAI(base_url=os.environ["PROVIDER"] + "/v1", api_key="test", max_retries=0)
    question = [{"role": "user", "content": f"Is the income for {loan} enough?"}]
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=question)
    return answer.choices[0].message.content or ""


@app.get("/score/<loan>")
def score(loan: str) -> str:
    return ask(loan)


@app.get("/pooled/<loan>")
def pooled(loan: str) -> str:
    return pool.submit(ask, loan).result()


@app.get("/pid")
def pid() -> str:
    return str(os.getpid())


if "WARM" in os.environ:  # called while the module is loaded, before any worker is forked
    ask("warm")
