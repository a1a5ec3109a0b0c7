"""A Celery task that asks the model, over a queue of files."""

import os

import openai
from celery import Celery

folder = os.environ["QUEUE"]
app = Celery("celery_app", broker="filesystem://", backend=f"file://{folder}/results")
app.conf.broker_transport_options = {
    "data_folder_in": f"{folder}/messages",
    "data_folder_out": f"{folder}/messages",
    "control_folder": f"{folder}/control",
}


@app.task
def score(loan: str) -> str:
    client = openai.OpenAI(base_url=os.environ["PROVIDER"] + "/v1", api_key="test", max_retries=0)
    question = [{"role": "user", "content": f"Is the income for {loan} enough?"}]
    return client.chat.completions.create(model="gpt-4o-mini", messages=question).choices[0].message.content or ""
