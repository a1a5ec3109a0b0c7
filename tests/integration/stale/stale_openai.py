"""Instruments the OpenAI client in the way that ``STALE`` names, each as packages of that age or care do.

``old``: patches the module path of releases before 1.0, and leaves it when that is not there.
``chat``: patches chat completions alone, and tells the model asked for and nothing else.
``apart``: as ``chat``, with spans outside of the caller's context.
``plain``: as ``chat``, with attributes that no convention knows.
``texts``: as ``chat``, with the texts, the system instructions left out.
``breaks``: hands a client's method what it does not take.
``raises``: fails while it is loaded.
``exits``: ends the process while it is loaded.
"""

import importlib
import json
import os

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from wrapt import wrap_function_wrapper

PATHS = {"old": ("openai.api_resources.chat_completion", "ChatCompletion.create")}
NOW = ("openai.resources.chat.completions", "Completions.create")


class StaleInstrumentor(BaseInstrumentor):
    """Found by its entry point."""

    def instrumentation_dependencies(self):
        return ("openai >= 0.27",)

    def _instrument(self, **kwargs):
        way = os.environ["STALE"]
        if way == "raises":
            raise AttributeError("module 'openai' has no attribute 'ChatCompletion'")
        if way == "exits":
            os._exit(3)
        module, name = PATHS.get(way, NOW)
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            return
        tracer = trace.get_tracer("stale_openai", "0.1")

        def call(wrapped, instance, args, kwargs):
            known = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}
            known["gen_ai.request.model"] = kwargs["model"]
            if way == "breaks":
                kwargs["stream_options_v0"] = True
            attributes = {"llm.vendor.thing": kwargs["model"]} if way == "plain" else known
            with tracer.start_as_current_span("chat", Context() if way == "apart" else None, attributes=attributes):
                result = wrapped(*args, **kwargs)
                if way == "texts":
                    said = kwargs["messages"][-1]["content"], result.choices[0].message.content
                    for name, role, text in zip(("input", "output"), ("user", "assistant"), said, strict=True):
                        message = {"role": role, "parts": [{"type": "text", "content": text}]}
                        trace.get_current_span().set_attribute(f"gen_ai.{name}.messages", json.dumps([message]))
                return result

        wrap_function_wrapper(module, name, call)

    def _uninstrument(self, **kwargs):
        pass
