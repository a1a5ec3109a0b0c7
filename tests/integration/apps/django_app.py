"""A Django view that asks the model; served as ``tests.integration.apps.django_app:application``."""

import os

import openai
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path


def score(request: HttpRequest, loan: str) -> HttpResponse:
    client = openai.OpenAI(base_url=os.environ["PROVIDER"] + "/v1", api_key="test", max_retries=0)
    question = [{"role": "user", "content": f"Is the income for {loan} enough?"}]
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=question)
    return HttpResponse(answer.choices[0].message.content)


urlpatterns = [path("score/<str:loan>", score)]
application = get_wsgi_application()
