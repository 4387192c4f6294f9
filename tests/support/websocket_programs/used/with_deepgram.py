"""Deepgram's live transcription through its official client, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import sys

from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from websockets.exceptions import InvalidStatus


def environment(url: str) -> DeepgramClientEnvironment:
    plain = url.replace("ws:", "http:")
    return DeepgramClientEnvironment(base=plain, production=url, agent=url, agent_rest=plain)


def show(message: object) -> None:
    kind = getattr(message, "type", type(message).__name__)
    channel = getattr(message, "channel", None)
    print(kind, channel.alternatives[0].transcript if channel is not None else "")


def blocking(url: str) -> None:
    client = DeepgramClient(api_key="secret", environment=environment(url))
    with client.listen.v1.connect(model="nova-3", encoding="linear16", sample_rate=16000) as connection:
        for kind in EventType:
            connection.on(kind, show)
        connection.send_media(b"\0\1" * 40_000)
        connection.send_keep_alive()
        connection.send_close_stream()
        connection.start_listening()
    client = DeepgramClient(api_key="secret", environment=environment(url.replace("127.0.0.1", "localhost") + "/not"))
    try:
        with client.listen.v1.connect(model="nova-3"):
            pass
    except (ApiError, InvalidStatus) as error:  # which one goes by their version
        print(type(error).__name__, getattr(error, "body", error))


async def asynchronous(url: str) -> None:
    client = AsyncDeepgramClient(api_key="secret", environment=environment(url))
    async with client.listen.v1.connect(model="nova-3") as connection:
        await connection.send_media(b"\0")
        show(await connection.recv())
        await connection.send_close_stream()
        async for message in connection:
            show(message)


blocking(sys.argv[1])
asyncio.run(asynchronous(sys.argv[1]))
