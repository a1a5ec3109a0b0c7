"""The gateway: takes a customer's case, has it scored, and puts it before the reviewers."""

from __future__ import annotations

import asyncio

import httpx2
from fastapi import FastAPI

import otel_audit as audit
from otel_audit.demo.cases import Case
from otel_audit.demo.settings import Settings

_ATTEMPTS = 3


def make_app(settings: Settings) -> FastAPI:
    """The gateway as an ASGI application."""
    app = FastAPI(title="gateway")
    client = httpx2.AsyncClient(timeout=30)

    async def drafted(case: Case) -> str:
        """The AI's draft; empty when there is none after three attempts, and a person has to write it."""
        for attempt in range(_ATTEMPTS):
            answered = await client.post(f"{settings.scoring_url}/drafts", json=case.to_dict())
            if answered.is_success:
                return str(answered.json()["draft"])
            await asyncio.sleep(0.2 * 2**attempt)
        return ""

    @app.post("/tasks")
    async def create_task(case: Case) -> dict[str, str]:
        async with audit.task(case.task_id, kind=case.kind, subject_ref=case.subject_ref):
            draft = await drafted(case)
            queued = await client.post(f"{settings.desk_url}/queue", json={"case": case.to_dict(), "draft": draft})
            queued.raise_for_status()
        return {"task_id": case.task_id}

    return app
