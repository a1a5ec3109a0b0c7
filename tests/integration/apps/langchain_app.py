"""LangChain: a prompt piped into a chat model."""

import os
import sys

from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="gpt-4o-mini", base_url=os.environ["PROVIDER"] + "/v1", api_key="test", temperature=0.2)
chain = ChatPromptTemplate.from_messages([("user", "Is the income of {who} enough?")]) | model
chain.invoke({"who": "jane.roe@example.com"})
print("called", flush=True)
sys.stdin.read()
