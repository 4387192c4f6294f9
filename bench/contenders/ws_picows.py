"""picows, a client in C, on asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.contenders.websocket_work import AsyncTalk, AsyncWork, Message
from bench.job import Job


class Listener(WSListener):  # type: ignore[misc]
    """Hands every message to who waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.message: asyncio.Future[Message] | None = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.message is not None and not self.message.done():
            if frame.msg_type == WSMsgType.TEXT:
                self.message.set_result(frame.get_payload_as_utf8_text())
            elif frame.msg_type == WSMsgType.BINARY:
                self.message.set_result(frame.get_payload_as_bytes())


@contextlib.asynccontextmanager
async def connection(job: Job) -> AsyncIterator[AsyncTalk]:
    if job.compression:
        raise NotImplementedError("no compression")
    transport, listener = await ws_connect(Listener, job.url, max_frame_size=1 << 30)
    loop = asyncio.get_running_loop()

    async def send(message: Message) -> None:
        listener.message = loop.create_future()
        if isinstance(message, str):
            transport.send(WSMsgType.TEXT, message.encode())
        else:
            transport.send(WSMsgType.BINARY, message)

    async def receive() -> Message:
        return await listener.message

    try:
        yield send, receive
    finally:
        transport.send_close(1000)
        await transport.wait_disconnected()


work = AsyncWork(connection)
