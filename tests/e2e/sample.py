"""A small history for the browser tests and screenshots, sent by OTLP as any producer would send it.

Each task is a letter that an AI drafts and a person reviews. The same ``seed`` and ``now`` give the same history.
"""

import json
import random
from datetime import UTC, datetime, timedelta

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode, set_span_in_context

KINDS = ("refund reply", "claim summary", "discharge note", "credit decision letter", "complaint response")
PEOPLE = ("ana.ruiz", "ben.okafor", "chloe.martin", "dev.patel", "eva.lind", "femi.ade")
LEADS = ("mara.jensen", "omar.haddad")
MODELS = ("atlas-large-3", "atlas-mini-3", "north-7b")
DRAFT = (
    "Dear Ms Lind,\n\nThank you for your message. Your refund of EUR 240 will be paid within 3 days. "
    "We guarantee that this will not happen again.\n\nKind regards"
)
EDITED = (
    "Dear Ms Lind,\n\nThank you for your message. Your refund of EUR 204 will be paid within 10 working days. "
    "We are sorry for the delay.\n\nKind regards"
)


class Sender:
    """Sends spans of several services to one receiver."""

    def __init__(self, endpoint):
        self._endpoint = endpoint
        self._providers = {}

    def span(self, service, name, start, seconds, attributes, *, parent=None, error=""):
        if service not in self._providers:
            resource = Resource.create({"service.name": service, "deployment.environment.name": "production"})
            provider = TracerProvider(resource=resource)
            exporter = OTLPSpanExporter(endpoint=self._endpoint, insecure=True)
            provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100_000))
            self._providers[service] = provider
        tracer = self._providers[service].get_tracer("sample")
        context = set_span_in_context(parent) if parent else None
        span = tracer.start_span(name, context, attributes=attributes, start_time=_nano(start))
        if error:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(_nano(start + timedelta(seconds=seconds)))
        return span

    def close(self):
        for provider in self._providers.values():
            provider.shutdown()


def send_history(endpoint, *, now, tasks=60, days=29, seed=7):
    """Send the history of ``tasks`` tasks over the ``days`` before ``now``. Returns the task ids."""
    rng, sender, ids = random.Random(seed), Sender(endpoint), []
    for number in range(tasks):
        at = (now - timedelta(days=rng.random() ** 1.2 * days)).replace(hour=min(22, max(6, int(rng.gauss(13, 3)))))
        if at > now - timedelta(hours=9):
            at -= timedelta(days=1)
        ids.append(f"TSK-{2026110000 + number}")
        send_task(sender, rng, ids[-1], at)
    sender.close()
    return ids


def send_task(sender, rng, task, at):
    """One task, from its creation to its resolution."""
    common = {"audit.task.id": task, "audit.task.kind": rng.choice(KINDS)}
    reviewer, lead, model = rng.choice(PEOPLE), rng.choice(LEADS), rng.choices(MODELS, [6, 3, 1])[0]
    sender.span("crm-intake", "task.created", at, 0, common | {"audit.event.type": "task.created"})
    at += timedelta(seconds=rng.uniform(1, 6))
    seconds = rng.gammavariate(2, 3)
    request = sender.span("draft-writer", "POST /draft", at, seconds + 0.2, common)
    sender.span("draft-writer", f"chat {model}", at, seconds, common | ai_call(rng, model), parent=request)
    waited = rng.expovariate(1 / 1500)
    at += timedelta(seconds=seconds + waited)
    decision = rng.choices(["approved", "modified", "rejected"], [55, 33, 12])[0]
    if rng.random() < 0.2:
        escalation = {
            "audit.event.type": "escalation", "audit.reviewer.id": reviewer, "audit.escalation.from": reviewer,
            "audit.escalation.to": lead, "audit.escalation.level": 2,
            "audit.rationale.code": ["amount.over_limit"],
            "audit.rationale.text": "The amount is over my limit of EUR 200.",
        }  # fmt: skip
        sender.span("review-desk", "escalation", at, 0, common | escalation)
        waited = rng.expovariate(1 / 5400)
        at += timedelta(seconds=waited)
        reviewer = lead
    active = rng.gammavariate(1.6, 110)
    review = {
        "audit.event.type": "review", "audit.reviewer.id": reviewer, "audit.review.decision": decision,
        "audit.review.active_seconds": active, "audit.review.queue_wait_seconds": waited,
    }  # fmt: skip
    if decision == "modified":
        review |= {"audit.change.before": DRAFT, "audit.change.after": EDITED, "audit.review.override": True,
                   "audit.rationale.code": ["policy.no_guarantee", "amount.corrected"],
                   "audit.rationale.text": "The amount was wrong, and we never guarantee."}  # fmt: skip
    elif decision == "rejected":
        review |= {"audit.rationale.code": ["tone.unsuitable"], "audit.rationale.text": "Please write this by hand."}
    sender.span("review-desk", "review", at, active * 1.2, common | review)
    at += timedelta(seconds=active * 1.2 + rng.uniform(1, 40))
    outcome = "closed_without_sending" if decision == "rejected" else "sent_to_customer"
    resolution = {"audit.event.type": "resolution", "audit.resolution.outcome": outcome, "audit.actor.id": "dispatch"}
    sender.span("dispatch", "resolution", at, 0, common | resolution)


def ai_call(rng, model):
    """The attributes of a GenAI call in the OpenTelemetry form."""
    text = "Write a reply to order 88-1042. The customer waits for a refund since 12 November."
    return {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": model,
        "gen_ai.response.model": model, "gen_ai.response.id": f"resp_{rng.getrandbits(64):016x}",
        "gen_ai.request.temperature": 0.2, "gen_ai.request.max_tokens": 300, "gen_ai.prompt.name": "reply-draft",
        "gen_ai.prompt.version": rng.choice(["3.1", "3.2"]), "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": rng.randint(300, 900), "gen_ai.usage.output_tokens": rng.randint(60, 200),
        "audit.confidence": round(rng.betavariate(8, 2), 2),
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "You write replies for a shop."}]),
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}]),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": DRAFT}], "finish_reason": "stop"}]
        ),
    }  # fmt: skip


def _nano(moment):
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000
