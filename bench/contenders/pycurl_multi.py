"""pycurl: libcurl's multi interface, many requests at a time over one connection."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from io import BytesIO

import pycurl

from bench.contenders.pycurl_easy import new_handle
from bench.job import Job


@contextlib.contextmanager
def h2_many(job: Job) -> Iterator[Callable[[int], int]]:
    with contextlib.ExitStack() as stack:
        multi = stack.enter_context(contextlib.closing(pycurl.CurlMulti()))
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
        handles = [stack.enter_context(new_handle(job)) for _ in range(job.concurrency)]
        buffers: dict[pycurl.Curl, BytesIO] = {}

        def begin(handle: pycurl.Curl) -> None:
            buffers[handle] = BytesIO()
            handle.setopt(pycurl.WRITEDATA, buffers[handle])
            handle.setopt(pycurl.PIPEWAIT, 1)
            multi.add_handle(handle)

        def ended() -> list[pycurl.Curl]:
            _, good, bad = multi.info_read()
            assert not bad, bad
            return good

        def operation(count: int) -> int:
            total, left = 0, count
            begun = min(len(handles), count)
            for handle in handles[:begun]:
                begin(handle)
            while left:
                multi.perform()
                done = ended()
                for handle in done:
                    multi.remove_handle(handle)
                    assert handle.getinfo(pycurl.RESPONSE_CODE) == 200
                    total += len(buffers[handle].getvalue())
                    left -= 1
                    if begun < count:
                        begin(handle)
                        begun += 1
                if left and not done:
                    multi.select(1.0)
            return total

        yield operation
