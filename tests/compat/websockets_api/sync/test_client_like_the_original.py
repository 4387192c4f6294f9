"""What programs written for `websockets` rely on in the client for threads, beside what is in the other modules."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from drivetrain.compat.websockets_api.datastructures import Headers
from drivetrain.compat.websockets_api.exceptions import InvalidProxyMessage
from drivetrain.compat.websockets_api.http11 import Response
from drivetrain.compat.websockets_api.sync.client import ClientConnection, connect
from tests.support.servers import RawServer
from tests.support.websocket_raw import accept_raw, read_until_close


@pytest.mark.parametrize(("size", "kind"), [(10, ConnectionResetError), (65536, ssl.SSLEOFError)])
def test_a_server_that_ends_the_tls_handshake(size: int, kind: type[Exception]) -> None:
    with RawServer(lambda connection: connection.recv(size), tolerate=(ConnectionError,)) as server:
        with pytest.raises(OSError) as caught:
            connect(f"wss://127.0.0.1:{server.port}", proxy=None)
        assert type(caught.value) is kind


def test_what_is_no_answer_of_a_proxy_is_an_error_of_the_proxy() -> None:
    def proxy(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"garbage\r\n\r\n")

    with RawServer(proxy, tolerate=(ConnectionError,)) as server, pytest.raises(InvalidProxyMessage):
        connect("ws://localhost", proxy=f"http://127.0.0.1:{server.port}")


@pytest.mark.parametrize("address", [("", 0), ("127.0.0.1", None)])
def test_the_source_address_may_leave_things_open(address: Any) -> None:
    def handler(connection: socket.socket) -> None:
        head = accept_raw(connection)
        heads.append(head)
        read_until_close(connection)

    heads: list[Any] = []
    with RawServer(handler, tolerate=(ConnectionError,)) as server:
        fields: Any = {"X-Count": 5}
        uri = f"ws://127.0.0.1:{server.port}"
        with connect(uri, proxy=None, source_address=address, additional_headers=fields) as websocket:
            assert websocket.local_address[0] == "127.0.0.1"
            assert websocket.request is not None
            assert websocket.request.headers["X-Count"] == "5"
    assert len(heads) == 1


def test_a_subclass_may_stand_for_a_connection() -> None:
    """Test suites make such, with nothing but a response to look at."""

    class Pretended(ClientConnection):
        def __init__(self, response: Response) -> None:
            self.response = response

    response = Response(418, "teapot", Headers())
    assert Pretended(response).response is response
