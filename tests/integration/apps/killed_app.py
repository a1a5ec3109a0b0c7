"""Workers that are killed while they call the model: prints the ids of the answers that they got."""

import os
import random
import signal
import sys

import openai

client = openai.OpenAI(base_url=os.environ["PROVIDER"] + "/v1", api_key="test", max_retries=0)
chance = random.Random(1)


def work(out: int) -> None:
    """Call until killed; tell of each answer once the client has returned it."""
    while True:
        question = [{"role": "user", "content": "Is it enough?"}]
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=question)
        os.write(out, f"{answer.id}\n".encode())


for _ in range(int(sys.argv[1])):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        work(writing)
    os.close(writing)
    with os.fdopen(reading) as told:
        ids = [told.readline().strip() for _ in range(chance.randint(1, 6))]
        os.kill(pid, signal.SIGKILL)
        ids += [line.strip() for line in told]  # what it still told before it died
    os.waitpid(pid, 0)
    print(*ids, flush=True)
print("called", flush=True)
sys.stdin.read()
