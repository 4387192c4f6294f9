"""wsproto on a bare socket: nothing but the library and two system calls."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from bench.contenders.websocket_work import Message, Talk, Work
from bench.job import Job


@contextlib.contextmanager
def connection(job: Job) -> Iterator[Talk]:
    machine = WSConnection(ConnectionType.CLIENT)
    extensions = [PerMessageDeflate()] if job.compression else []
    with socket.create_connection((job.host, job.port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def events() -> Iterator[Event]:
            while data := sock.recv(256 * 1024):
                machine.receive_data(data)
                yield from machine.events()

        def send(message: Message) -> None:
            event = TextMessage(data=message) if isinstance(message, str) else BytesMessage(data=message)
            sock.sendall(machine.send(event))

        def receive() -> Message:
            parts: list[Message] = []
            for event in events():
                assert isinstance(event, (TextMessage, BytesMessage))
                parts.append(event.data)
                if event.message_finished:
                    break
            return parts[0] if len(parts) == 1 else b"".join(part for part in parts if isinstance(part, bytes))

        sock.sendall(machine.send(Request(host=job.host, target=job.target, extensions=extensions)))
        assert isinstance(next(events()), AcceptConnection)
        yield send, receive
        sock.sendall(machine.send(CloseConnection(1000)))
        assert isinstance(next(events()), CloseConnection)


work = Work(connection)
