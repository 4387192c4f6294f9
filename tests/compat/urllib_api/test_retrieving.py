"""`urlretrieve` and `urlcleanup`, and the names of `urllib.request` that are no part of its API."""

from __future__ import annotations

import os
import urllib.request
import urllib.response
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import ContentTooShortError

import pytest

from drivetrain.compat import urllib_api
from tests.compat.requests_api.support import echoing
from tests.compat.urllib_api.recorder import Recorder, response
from tests.support.servers import RawServer

MODULES = pytest.mark.parametrize("module", [urllib.request, urllib_api], ids=["original", "ours"])


@MODULES
def test_into_a_file_with_a_hook(module: Any, tmp_path: Path) -> None:
    told: list[tuple[int, int, int]] = []
    body = bytes(20_000)
    with RawServer(Recorder((response(body, "200 OK", "X-A: 1"),))) as server:
        name, headers = module.urlretrieve(server.url, tmp_path / "file", lambda *words: told.append(words), b"data")
    assert (name, (tmp_path / "file").read_bytes(), headers["X-A"]) == (tmp_path / "file", body, "1")
    assert told == [(0, 8192, 20_000), (1, 8192, 20_000), (2, 8192, 20_000), (3, 8192, 20_000)]


@MODULES
def test_into_a_temporary_file(module: Any) -> None:
    told: list[int] = []
    with RawServer(echoing(b"HTTP/1.0 200 OK\r\n\r\nabc", then_wait=False)) as server:
        name, _ = module.urlretrieve(server.url, reporthook=lambda _, __, size: told.append(size))
    assert (Path(name).read_bytes(), told) == (b"abc", [-1, -1])
    module.urlcleanup()
    assert not os.path.exists(name)
    module.urlcleanup()


@MODULES
def test_less_than_was_announced(module: Any, tmp_path: Path) -> None:
    part = echoing(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", then_wait=False)
    short = pytest.raises(ContentTooShortError, match="got only 3 out of 5 bytes")
    with RawServer(part) as server, short as caught:
        module.urlretrieve(server.url, str(tmp_path / "file"))
    assert caught.value.content[0] == str(tmp_path / "file")  # type: ignore[index]
    assert (tmp_path / "file").read_bytes() == b"abc"


@MODULES
def test_a_file_of_this_machine(module: Any, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    url = (tmp_path / "a").as_uri()
    name, headers = module.urlretrieve(url)
    assert (os.path.samefile(name, tmp_path / "a"), headers["Content-Length"]) == (True, "3")
    name, _ = module.urlretrieve(url, str(tmp_path / "b"))
    assert Path(name).read_bytes() == b"abc"


@MODULES
def test_cleaning_up_forgets_the_installed_opener(module: Any) -> None:
    class Handler(urllib.request.BaseHandler):
        def made_open(self, request: urllib.request.Request) -> Any:
            return urllib.response.addinfourl(open(os.devnull, "rb"), {}, request.full_url)  # type: ignore[arg-type]

    module.install_opener(module.build_opener(Handler))
    module.urlopen("made:up").close()
    module.urlcleanup()
    with pytest.raises(urllib.error.URLError, match="unknown url type"):
        module.urlopen("made:up")


def test_every_public_name_is_there() -> None:
    modules: list[ModuleType] = [urllib.request, urllib.error, urllib.response]
    wanted = {name for module in modules for name in module.__all__}
    assert [name for name in sorted(wanted) if not hasattr(urllib_api, name)] == []
    assert set(urllib_api.__all__) >= wanted - {"URLopener", "FancyURLopener"}


def test_helpers_are_the_originals() -> None:
    assert urllib_api.proxy_bypass_environment is urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
    assert urllib_api._parse_proxy is urllib.request._parse_proxy  # type: ignore[attr-defined]
    for name in ("no_such_name", "__no_such_name__", "__cached_property__"):
        with pytest.raises(AttributeError, match=f"drivetrain.compat.urllib_api' has no attribute '{name}'"):
            getattr(urllib_api, name)
