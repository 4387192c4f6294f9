"""Every door to the client as one interface, and the servers it is held against: for `test_h2_servers.py`."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from drivetrain.compat import urllib_api
from drivetrain.compat.requests_api import EngineAdapter
from drivetrain.engine import AsyncClient, Client

__all__ = ["DOORS", "Answer", "Door", "Site", "pieces_of"]

PIECE = 100_000


def pieces_of(data: bytes) -> Iterator[bytes]:
    """A body whose length is not known beforehand."""
    return (data[at : at + PIECE] for at in range(0, len(data), PIECE))


@dataclass(frozen=True)
class Site:
    """A server as one of its ports shows it.

    Attributes:
        mode: how HTTP/2 is agreed on: "tls" (ALPN), "prior" (known beforehand, in clear) or "upgrade".
        receipt: what is learned of an upload: it is "stored" in `files`, "echoed", or "told" by its digest.
    """

    name: str
    url: str
    mode: str
    receipt: str
    ca_file: Path
    files: Path

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments of `Client` and `AsyncClient`."""
        return {
            "tls": {"verify": self.ca_file},
            "prior": {"version": 2},
            "upgrade": {"upgrade_h2c": True},
        }[self.mode]

    def digest_received(self, path: str, answer: Answer) -> str:
        """The SHA-256 of what the server got at `path`."""
        if self.receipt == "told":
            return answer.body.decode()
        content = answer.body if self.receipt == "echoed" else (self.files / path.lstrip("/")).read_bytes()
        return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Answer:
    """A response, whichever door it came through."""

    status: int
    version: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Door(ABC):
    """One way to the client, connections kept between calls."""

    modes: tuple[str, ...] = ("tls", "prior", "upgrade")

    def __init__(self, site: Site) -> None:
        self._site = site

    @abstractmethod
    def fetch(self, path: str, method: str = "GET", body: Any = None, **fields: str) -> Answer:
        """One request; redirects are followed. An underscore in the name of a field is a hyphen."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""


def field_names(fields: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in fields.items()}


class Native(Door):
    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._client = Client(**site.client_options())

    def fetch(self, path: str, method: str = "GET", body: Any = None, **fields: str) -> Answer:
        response = self._client.request(method, self._site.url + path, content=body, headers=field_names(fields))
        return Answer(response.status, response.http_version, response.url, response.headers, response.content)

    def close(self) -> None:
        self._client.close()


async def _one_by_one(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class Asyncio(Door):
    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._loop = asyncio.new_event_loop()
        self._client = AsyncClient(**site.client_options())

    def fetch(self, path: str, method: str = "GET", body: Any = None, **fields: str) -> Answer:
        return self._loop.run_until_complete(self._fetch(path, method, body, fields))

    async def _fetch(self, path: str, method: str, body: Any, fields: dict[str, str]) -> Answer:
        url, headers = self._site.url + path, field_names(fields)
        if isinstance(body, Iterator):
            body = _one_by_one(body)
        response = await self._client.request(method, url, content=body, headers=headers)
        return Answer(response.status, response.http_version, response.url, response.headers, response.content)

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


class Adapter(Door):
    modes = ("tls", "prior")

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.session = requests.Session()
        self.session.mount("https://", EngineAdapter())
        self.session.mount("http://", EngineAdapter(version=2))
        self.session.verify = str(site.ca_file)

    def fetch(self, path: str, method: str = "GET", body: Any = None, **fields: str) -> Answer:
        response = self.session.request(
            method, self._site.url + path, data=body, headers=field_names(fields), allow_redirects=True, timeout=60
        )
        version = {10: "1.0", 11: "1.1", 20: "2"}[response.raw.version]
        return Answer(response.status_code, version, response.url, response.headers, response.content)

    def close(self) -> None:
        self.session.close()


class Urlopen(Door):
    modes = ("tls",)

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._context = ssl.create_default_context(cafile=site.ca_file)

    def fetch(self, path: str, method: str = "GET", body: Any = None, **fields: str) -> Answer:
        request = urllib.request.Request(self._site.url + path, body, field_names(fields), method=method)
        try:
            with urllib_api.urlopen(request, timeout=60, context=self._context) as response:
                return self._answer(response)
        except urllib.error.HTTPError as error:
            with error:
                return self._answer(error.fp)

    @staticmethod
    def _answer(response: Any) -> Answer:
        version = {10: "1.0", 11: "1.1", 20: "2"}[response.version]
        return Answer(response.status, version, response.geturl(), response.headers, response.read())

    def close(self) -> None:
        """Its connections are the module's."""


DOORS: tuple[type[Door], ...] = (Native, Asyncio, Adapter, Urlopen)
