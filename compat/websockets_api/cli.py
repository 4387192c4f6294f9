"""An interactive client: what is typed is sent, line by line, and what comes is shown. `python -m websockets ws://…`."""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys
import threading
from collections.abc import Sequence
from typing import Any

from drivetrain.compat.websockets_api.asyncio.client import ClientConnection, connect
from drivetrain.compat.websockets_api.exceptions import ConnectionClosed
from drivetrain.compat.websockets_api.frames import Close
from drivetrain.compat.websockets_api.version import version

__all__ = ["main"]

# A peer must not be able to speak to the terminal: control characters are shown as escapes.
_CONTROLS = str.maketrans({code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))})

_SAVE, _RESTORE, _UP, _INSERT_LINE, _ERASE = "\x1b7", "\x1b8", "\x1b[A", "\x1b[L", "\x1b[K"
_PROMPT = "> "


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _show(text: str) -> None:
    """Put a line above the one that is being typed."""
    _write(f"{_SAVE}\n{_UP}{_INSERT_LINE}{text}\n{_RESTORE}")


async def _show_messages(websocket: ClientConnection) -> None:
    async for message in websocket:
        _show(f"< {message.translate(_CONTROLS)}" if isinstance(message, str) else f"< (binary) {message.hex()}")


async def _send_lines(websocket: ClientConnection, lines: asyncio.Queue[str | None]) -> None:
    """Send lines until None comes: the end of the input."""
    while True:
        line = await lines.get()
        if line is None:
            return
        try:
            await websocket.send(line)
        except ConnectionClosed:
            return


def _read_lines(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str | None]) -> None:
    """Read standard input. In a daemon thread: nothing can interrupt it, and the program need not wait for its end."""
    while True:
        _write(_PROMPT)
        line = sys.stdin.readline()
        try:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\r\n") if line else None)
        except RuntimeError:  # the loop is closed: the program ends
            return
        if not line:
            return


async def _converse(uri: str, **options: Any) -> None:
    try:
        websocket = await connect(uri, **options)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is told
        sys.stdout.write(f"Failed to connect to {uri}: {error}.\n")
        sys.exit(1)
    sys.stdout.write(f"Connected to {uri}.\n")
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    reader = threading.Thread(target=_read_lines, args=(asyncio.get_running_loop(), lines), daemon=True)
    reader.start()
    both = [asyncio.ensure_future(_show_messages(websocket)), asyncio.ensure_future(_send_lines(websocket, lines))]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:  # Ctrl-C
        pass
    finally:
        for task in both:
            task.cancel()
    await websocket.close()
    for task in both:
        if task.done() and not task.cancelled():
            task.exception()  # how the connection ended is told below
    ending = Close(websocket.close_code or 1006, websocket.close_reason or "")
    _write(f"\r{_ERASE}Connection closed: {str(ending).translate(_CONTROLS)}.\n")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the client.

    Args:
        argv: the arguments, without the program's name; None for those of the process.
    """
    parser = argparse.ArgumentParser(prog="websockets", description="Interactive WebSocket client.", add_help=False)
    parser.add_argument("--help", action="store_true", help="show usage and exit")
    parser.add_argument("--insecure", action="store_true", help="do not verify the server's certificate")
    parser.add_argument("--version", action="store_true", help="show version and exit")
    parser.add_argument("uri", metavar="<uri>", nargs="?")
    chosen = parser.parse_args(argv)
    if chosen.version:
        sys.stdout.write(f"websockets {version}\n")
        sys.exit(0)
    if chosen.help or chosen.uri is None:
        parser.print_usage()
        sys.exit(0 if chosen.help else 2)
    if sys.platform == "win32":
        os.system("")  # noqa: S605, S607  # makes the console understand escape sequences
    options: dict[str, Any] = {}
    if chosen.insecure and chosen.uri.startswith("wss://"):
        options["ssl"] = ssl.create_default_context()
        options["ssl"].check_hostname = False
        options["ssl"].verify_mode = ssl.CERT_NONE
    asyncio.run(_converse(chosen.uri, **options))
