"""A server for the programs beside this file, on the `websockets` library: what each of them expects, by the path it asks for.

    python counterpart.py

Prints its port, serves until standard input ends, and prints then what it saw, as JSON: for each request its path and header
fields, whether it was answered, the messages that came, and how the connection was closed.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

# Different for each connection.
NEW_EACH_TIME = {"sec-websocket-key", "x-deepgram-session-id"}

Event = dict[str, Any]
seen: list[Event] = []


def graphql(websocket: ServerConnection, message: Event) -> list[Event]:
    """graphql-transport-ws: an answer to a query, three to a subscription."""
    if message["type"] == "connection_init":
        return [{"type": "connection_ack", "payload": {"token": message.get("payload")}}]
    if message["type"] != "subscribe":
        return []
    query = message["payload"]["query"]
    answers = [{"hello": "wörld"}] if query.startswith(("query", "{")) else [{"count": number} for number in range(3)]
    found = [{"type": "next", "id": message["id"], "payload": {"data": answer}} for answer in answers]
    return [*found, {"type": "complete", "id": message["id"]}]


def realtime(websocket: ServerConnection, message: Event) -> list[Event]:
    """OpenAI's realtime API: text as it comes, then the end of the response."""
    if message["type"] == "session.update":
        return [{"type": "session.updated", "event_id": "e1", "session": message["session"]}]
    if message["type"] != "response.create":
        return []
    common = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    deltas = [
        {"type": "response.output_text.delta", "event_id": f"d{index}", "delta": text * 4000, **common}
        for index, text in enumerate(("Hel", "lo ", "wörld"))
    ]
    return [
        *deltas,
        {"type": "response.done", "event_id": "e2", "response": {"id": "r", "object": "realtime.response"}},
    ]


def listen(websocket: ServerConnection, message: Event) -> list[Event]:
    """Deepgram's: what was heard, and in the end what was sent altogether."""
    if message["type"] == "binary":
        words = [{"word": "hi", "start": 0.0, "end": 0.1, "confidence": 1.0}]
        heard = {"alternatives": [{"transcript": f"{message['size']} bytes", "confidence": 1.0, "words": words}]}
        meta = {"request_id": "r", "model_info": {"name": "m", "version": "1", "arch": "a"}, "model_uuid": "u"}
        timing = {"duration": 0.1, "start": 0.0, "is_final": True}
        return [{"type": "Results", "channel_index": [0], "channel": heard, "metadata": meta, **timing}]
    if message["type"] != "CloseStream":
        return []
    totals = {"request_id": "r", "sha256": "0", "created": "2026-01-01T00:00:00Z", "duration": 0.1, "channels": 1}
    return [{"type": "Metadata", "transaction_key": "t", **totals}, {"close": 1000}]


def devtools(websocket: ServerConnection, message: Event) -> list[Event]:
    """Chromium's: an event, then the result."""
    target = {"targetId": "T", "type": "page", "title": "Ü" * 50_000, "url": "about:blank", "attached": False}
    event = {"method": "Target.targetCreated", "params": {"targetInfo": {**target, "canAccessOpener": False}}}
    if message["method"] == "Target.getTargets":
        return [event, {"id": message["id"], "result": {"targetInfos": [target]}}]
    return [{"id": message["id"], "error": {"code": -32601, "message": "no such method"}}]


ANSWERS: dict[str, Callable[[ServerConnection, Event], list[Event]]] = {
    "/graphql": graphql,
    "/v1/realtime": realtime,
    "/v1/listen": listen,
    "/devtools/browser": devtools,
}


def understood(message: str | bytes) -> Event:
    return {"type": "binary", "size": len(message)} if isinstance(message, bytes) else json.loads(message)


def handle(websocket: ServerConnection) -> None:
    path = websocket.request.path.partition("?")[0]
    record = websocket.record
    if path == "/v1/realtime":
        websocket.send(json.dumps({"type": "session.created", "event_id": "e0", "session": {"type": "realtime"}}))
    try:
        for message in websocket:
            record["messages"].append(message if isinstance(message, str) else f"{len(message)} bytes")
            for answer in ANSWERS[path](websocket, understood(message)):
                if "close" in answer:
                    websocket.close(answer["close"], "bye")
                else:
                    websocket.send(json.dumps(answer, ensure_ascii=False))
    except ConnectionClosed:
        pass
    record["closed"] = [websocket.close_code, websocket.close_reason]


def process_request(websocket: ServerConnection, request: Any) -> Any:
    fields = [list(field) for field in request.headers.raw_items() if field[0].lower() not in NEW_EACH_TIME]
    websocket.record = {"path": request.path, "fields": fields, "messages": []}
    seen.append(websocket.record)
    path = request.path.partition("?")[0]
    if path in ANSWERS and request.headers.get("Authorization") != "Bearer nobody":
        return None
    if path == "/moved":
        response = websocket.respond(307, "elsewhere\n")
        response.headers["Location"] = "ws://elsewhere.invalid/v1/realtime"
    else:
        response = websocket.respond(401, "who are you?\n")
    websocket.record["refused"] = response.status_code
    return response


def select_subprotocol(websocket: ServerConnection, offered: Sequence[str]) -> str | None:
    return "graphql-transport-ws" if "graphql-transport-ws" in offered else None


def main() -> None:
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    options = {"process_request": process_request, "select_subprotocol": select_subprotocol}
    with serve(handle, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        print(server.socket.getsockname()[1], flush=True)
        sys.stdin.read()
        server.shutdown()
        thread.join()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
