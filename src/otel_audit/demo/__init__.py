"""A small real system that produces audit data: live traffic, and history by the day.

``run_live`` starts a gateway, a scoring service (real OpenAI client, official instrumentation, a fake provider on
loopback) and a review desk with simulated people, each in a process of its own. ``backfill`` sends days of
history of the same system. Both send OTLP over gRPC like any other application. Needs the ``demo`` extra.
"""
