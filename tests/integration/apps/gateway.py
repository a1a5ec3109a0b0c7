"""A FastAPI service that asks the scoring service."""

import os
import sys
import threading

import httpx2
import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/loans/{loan}")
async def loan(loan: str) -> dict[str, str]:
    async with httpx2.AsyncClient(timeout=30) as client:
        answer = await client.get(f"{os.environ['SCORING']}/score/{loan}")
    return {"answer": answer.text}


server = uvicorn.Server(uvicorn.Config(app, port=int(os.environ["PORT"]), log_level="warning"))
thread = threading.Thread(target=server.run)
thread.start()
print("called", flush=True)
sys.stdin.read()
server.should_exit = True
thread.join()
