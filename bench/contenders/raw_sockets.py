"""Nothing but system calls: what the machine and the kernel cost before any library begins."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

from bench.job import PIECE, Job

# Pieces of 64 KiB are not the floor: the fewer system calls, the less a download costs, up to about here.
LARGE_READ = 512 * 1024


def _request(job: Job, *fields: str, method: str = "GET") -> bytes:
    head = [f"{method} {job.target} HTTP/1.1", f"Host: {job.host}:{job.port}", "Accept: */*", *fields]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


def _connect(job: Job) -> socket.socket:
    sock = socket.create_connection((job.host, job.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _read_answer(sock: socket.socket, room: int = PIECE) -> int:
    """Read one answer framed by Content-Length, at most `room` bytes at a time; return the length of its body."""
    return _read_whole(sock, room)[1]


def _read_whole(sock: socket.socket, room: int = PIECE) -> tuple[int, int]:
    """Read one answer; return its length as a whole and that of its body."""
    data = sock.recv(room)
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += sock.recv(PIECE)
    assert data.startswith(b"HTTP/1.1 200 ")
    head = data[: end + 2].lower()
    start = head.index(b"content-length: ") + 16
    length = int(head[start : head.index(b"\r\n", start)])
    left = length - (len(data) - end - 4)
    while left:
        left -= len(sock.recv(room))
    return end + 4 + length, length


@contextlib.contextmanager
def small_get(job: Job) -> Iterator[Callable[[], int]]:
    request = _request(job)
    with _connect(job) as sock:
        sock.sendall(request)
        answer, size = _read_whole(sock)  # every answer is as long as this one

        def operation() -> int:
            sock.sendall(request)
            left = answer
            while left:
                left -= len(sock.recv(PIECE))
            return size

        yield operation


@contextlib.contextmanager
def download(job: Job) -> Iterator[Callable[[], int]]:
    with _connect(job) as sock:

        def operation() -> int:
            sock.sendall(_request(job))
            return _read_answer(sock, LARGE_READ)

        yield operation


@contextlib.contextmanager
def upload_file(job: Job) -> Iterator[Callable[[], int]]:
    head = _request(job, f"Content-Length: {job.size}", method="POST")
    with _connect(job) as sock:

        def operation() -> int:
            sock.sendall(head)
            with open(job.upload_path, "rb") as file:
                while piece := file.read(PIECE):
                    sock.sendall(piece)
            _read_answer(sock)
            return job.size

        yield operation


@contextlib.contextmanager
def upload_pieces(job: Job) -> Iterator[Callable[[], int]]:
    head = _request(job, "Transfer-Encoding: chunked", method="POST")
    with _connect(job) as sock:

        def operation() -> int:
            sock.sendall(head)
            for piece in job.pieces():
                sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            sock.sendall(b"0\r\n\r\n")
            _read_answer(sock)
            return job.size

        yield operation


@contextlib.contextmanager
def handshake(job: Job) -> Iterator[Callable[[], int]]:
    context = ssl.create_default_context(cafile=job.ca_file)
    request = _request(job, "Connection: close")

    def operation() -> int:
        with context.wrap_socket(_connect(job), server_hostname=job.host) as sock:
            sock.sendall(request)
            return _read_answer(sock)

    yield operation
