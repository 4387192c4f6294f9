"""OpenAI's realtime API through its official client, for threads and for asyncio; and a redirect to somebody else."""

from __future__ import annotations

import asyncio
import sys

import websockets.exceptions
from openai import AsyncOpenAI, OpenAI

ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello"}]}


def blocking(base: str) -> None:
    client = OpenAI(api_key="secret", base_url=f"http://{base}/v1", websocket_base_url=f"ws://{base}/v1")
    with client.realtime.connect(model="gpt-realtime", extra_headers={"X-Trace": "1"}) as connection:
        connection.session.update(session={"type": "realtime", "instructions": "be short"})
        connection.conversation.item.create(item=ITEM)
        connection.response.create()
        for event in connection:
            print(event.type, len(getattr(event, "delta", "")))
            if event.type == "response.done":
                break


async def asynchronous(base: str) -> None:
    client = AsyncOpenAI(api_key="secret", base_url=f"http://{base}/v1", websocket_base_url=f"ws://{base}/v1")
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.response.create()
        async for event in connection:
            print(event.type, len(getattr(event, "delta", "")))
            if event.type == "response.done":
                break
        await connection.close(code=4001, reason="that will do")
    client = AsyncOpenAI(api_key="nobody", base_url=f"http://{base}/v1", websocket_base_url=f"ws://{base}/v1")
    try:
        async with client.realtime.connect(model="gpt-realtime"):
            pass
    except websockets.exceptions.InvalidStatus as error:
        print(error, error.response.status_code, bytes(error.response.body))
    from openai.lib._websocket import _WebSocketConnect

    try:
        await _WebSocketConnect(f"ws://{base}/moved", additional_headers={"Authorization": "Bearer secret"})
    except websockets.exceptions.SecurityError as error:
        print(type(error).__name__, error)


blocking(sys.argv[1].removeprefix("ws://"))
asyncio.run(asynchronous(sys.argv[1].removeprefix("ws://")))
