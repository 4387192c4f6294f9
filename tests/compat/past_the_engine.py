"""A program that goes through every door by every way, and says what went past the engine: `test_past_the_engine` runs it.

Its argument is JSON: the addresses of servers. It prints JSON: of each use its outcome and what was seen past the engine. Seen
are the audit events of `http.client`, which urllib3's connections raise too, and sockets that are connected from its code or
urllib3's. Those that the engine has urllib3's function open, where a program has replaced something there, are its own.
"""

from __future__ import annotations

import io
import json
import os
import ssl
import sys
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any
from urllib.parse import quote

import requests
import requests.adapters
import requests_mock
import responses
from urllib3.util import Retry

import drivetrain.compat
from drivetrain.compat import requests_api, urllib_api
from drivetrain.compat.requests_api import EngineAdapter
from tests.compat.pool_tellers import make_ways

HTTP_CLIENT_FILES = (f"{os.sep}http{os.sep}client.py", f"{os.sep}urllib3{os.sep}")

DIALLING = f"{os.sep}requests_api{os.sep}dialling.py"

past: list[str] = []


def note(event: str, _: tuple[Any, ...]) -> None:
    if event.startswith("http.client."):
        past.append(event)
    elif event == "socket.connect":
        frame = sys._getframe(1)
        names = []
        while frame is not None:
            names.append(frame.f_code.co_filename)
            frame = frame.f_back  # type: ignore[assignment]
        if any(name.endswith(DIALLING) for name in names):
            return
        for name in names:
            if name.endswith(HTTP_CLIENT_FILES[0]) or HTTP_CLIENT_FILES[1] in name:
                past.append(f"{event} from {name.rpartition(os.sep)[2]}")
                return


sys.addaudithook(note)
AT: dict[str, str] = json.loads(sys.argv[1])
HTTP, HTTPS, CA = AT["http"], AT["https"], AT["ca"]


# --- requests -----------------------------------------------------------------------------------------------------------


def of(response: requests.Response) -> str:
    return f"{response.status_code} {response.text}"


def with_retries(session: requests.Session, retries: Retry, url: str) -> str:
    adapter: Any = session.get_adapter(url)
    before, adapter.max_retries = adapter.max_retries, retries
    try:
        return of(session.get(url))
    finally:
        adapter.max_retries = before


def by_environment(session: requests.Session) -> str:
    os.environ["HTTPS_PROXY"] = AT["proxy"]
    try:
        return of(session.get(f"{HTTPS}/ok"))
    finally:
        del os.environ["HTTPS_PROXY"]


def unverified(session: requests.Session) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return of(session.get(f"{HTTPS}/ok", verify=False))


def by_subclass(session: requests.Session) -> str:
    base: Any = type(session.get_adapter(HTTP))

    class Sub(base):  # type: ignore[misc]
        def send(self, *args: Any, **options: Any) -> Any:
            return super().send(*args, **options)

        def cert_verify(self, *args: Any) -> None:
            super().cert_verify(*args)

        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            return super().get_connection_with_tls_context(*args, **options)

        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, ssl_context=ssl.create_default_context(cafile=CA), **options)

        def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
            return super().proxy_manager_for(*args, **options)

    with requests.Session() as other:
        other.mount("https://", Sub())
        other.mount("http://", Sub())
        other.verify = CA
        return " ".join(of(other.get(f"{url}/ok", proxies={"http": AT["proxy"]})) for url in (HTTP, HTTPS))


def passed_by_responses(session: requests.Session) -> str:
    with responses.RequestsMock() as mocked:
        mocked.get("http://mocked.test/", body="mocked")
        mocked.add_passthru(HTTP)
        mocked.add(responses.PassthroughResponse("GET", f"{HTTPS}/ok"))
        said = [of(session.get("http://mocked.test/")), of(session.get(f"{HTTP}/redirect"))]
        said += [of(session.get(f"{HTTPS}/ok")), of(session.get(f"{HTTP}/ok", proxies={"http": AT["proxy"]}))]
    return " ".join(said)


def passed_by_requests_mock(session: requests.Session) -> str:
    with requests_mock.Mocker(real_http=True) as mocker:
        mocker.get("http://mocked.test/", text="mocked")
        return f"{of(session.get('http://mocked.test/'))} {of(session.get(f'{HTTP}/ok'))}"


REQUESTS: dict[str, Callable[[requests.Session], str]] = {
    "get": lambda s: of(s.get(f"{HTTP}/ok")),
    "https": lambda s: of(s.get(f"{HTTPS}/ok")),
    "unverified": unverified,
    "client certificate": lambda s: of(s.get(f"{HTTPS}/ok", cert=AT["cert"])),
    "upload": lambda s: (
        of(s.post(f"{HTTP}/ok", data=iter([b"a", b"b"]))) + of(s.put(f"{HTTPS}/ok", data=io.BytesIO(b"x")))
    ),
    "stream": lambda s: str(len(b"".join(s.get(f"{HTTP}/large", stream=True).iter_content(1000)))),
    "redirect": lambda s: of(s.get(f"{HTTP}/redirect")),
    "redirect to https": lambda s: of(s.get(f"{HTTP}/to-https")),
    "redirect by hand": lambda s: of(s.send(s.get(f"{HTTP}/redirect", allow_redirects=False).next)),  # type: ignore[arg-type]
    "retries by status": lambda s: with_retries(s, Retry(2, status_forcelist=[503]), f"{HTTP}/busy"),
    "retries by failure": lambda s: with_retries(s, Retry(2, backoff_factor=0), "http://127.0.0.1:1/"),
    "retries of reads": lambda s: with_retries(s, Retry(2, backoff_factor=0), f"{HTTP}/hang-up"),
    "basic": lambda s: of(s.get(f"{HTTP}/basic", auth=("me", "secret"))),
    "digest": lambda s: of(s.get(f"{HTTP}/digest", auth=requests.auth.HTTPDigestAuth("me", "secret"))),
    "http by proxy": lambda s: of(s.get(f"{HTTP}/redirect", proxies={"http": AT["proxy"]})),
    "https by proxy": lambda s: of(s.get(f"{HTTPS}/ok", proxies={"https": AT["proxy"]})),
    "http by https proxy": lambda s: of(s.get(f"{HTTP}/ok", proxies={"http": AT["secure proxy"]})),
    "https by https proxy": lambda s: of(s.get(f"{HTTPS}/ok", proxies={"https": AT["secure proxy"]})),
    "http by socks": lambda s: of(s.get(f"{HTTP}/redirect", proxies={"http": AT["socks"]})),
    "https by socks": lambda s: of(s.get(f"{HTTPS}/ok", proxies={"https": AT["socks"]})),
    "proxy of the environment": by_environment,
    "no proxy there": lambda s: of(s.get(f"{HTTP}/ok", proxies={"http": "http://127.0.0.1:1"})),
    "proxy refuses": lambda s: of(s.get("https://refused.test/", proxies={"https": AT["refusing proxy"]})),
    "subclass": by_subclass,
    "responses": passed_by_responses,
    "requests-mock": passed_by_requests_mock,
    "timeout": lambda s: of(s.get(f"{HTTP}/silent", timeout=0.1)),
    "socket": lambda s: of(s.get(f"http+unix://{quote(AT['unix'], safe='')}/redirect")),
    **make_ways(AT),
}


@contextmanager
def mounted() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.mount("https://", EngineAdapter())
        session.mount("http://", EngineAdapter())
        yield session


SESSIONS: dict[str, Callable[[], Any]] = {
    "mounted": mounted,
    "requests_api": requests_api.Session,
    "installed": requests.Session,
}


# --- urllib -------------------------------------------------------------------------------------------------------------


def read(response: Any) -> str:
    with response:
        return f"{response.status} {response.read().decode()}"


def retrieved(library: Any, url: str) -> str:
    name, _ = library.urlretrieve(url)
    with open(name) as file:
        text = file.read()
    library.urlcleanup()
    return text


def opened(library: Any, url: str, *handlers: Any, data: Any = None) -> str:
    """Through an opener with these handlers."""
    trusting = library.HTTPSHandler(context=ssl.create_default_context(cafile=CA))
    return read(library.build_opener(trusting, *handlers).open(url, data, timeout=10))


def with_password(library: Any, kind: str, path: str) -> str:
    passwords = library.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, HTTP, "me", "secret")
    return opened(library, f"{HTTP}{path}", getattr(library, kind)(passwords))


def by_default_opener(library: Any) -> str:
    library.install_opener(library.build_opener(library.HTTPCookieProcessor()))
    try:
        return read(library.urlopen(f"{HTTP}/redirect"))
    finally:
        library.install_opener(None)


def by_environment_of_urllib(library: Any) -> str:
    os.environ["http_proxy"] = os.environ["https_proxy"] = AT["proxy"]
    try:
        return f"{opened(library, f'{HTTP}/ok')} {opened(library, f'{HTTPS}/ok')}"
    finally:
        del os.environ["http_proxy"], os.environ["https_proxy"]


def debugging(library: Any) -> str:
    with redirect_stdout(io.StringIO()):
        return opened(library, f"{HTTP}/ok", library.HTTPHandler(debuglevel=1))


def by_subclass_of_handler(library: Any) -> str:
    class Sub(library.HTTPHandler):  # type: ignore[misc]
        def http_open(self, req: Any) -> Any:
            return super().http_open(req)

    return opened(library, f"{HTTP}/redirect", Sub)


URLLIB: dict[str, Callable[[Any], str]] = {
    "urlopen": lambda u: read(u.urlopen(f"{HTTP}/ok")),
    "https": lambda u: read(u.urlopen(f"{HTTPS}/ok", context=ssl.create_default_context(cafile=CA))),
    "data": lambda u: read(u.urlopen(u.Request(f"{HTTP}/ok", b"data"))),
    "iterable": lambda u: opened(u, u.Request(f"{HTTP}/ok", iter([b"a"]), {"X": "1"})),
    "file": lambda u: read(u.urlopen(u.Request(f"{HTTP}/ok", io.BytesIO(b"x"), {"Content-Length": "1"}, method="PUT"))),
    "redirect": lambda u: read(u.urlopen(f"{HTTP}/redirect")),
    "redirect to https": lambda u: opened(u, f"{HTTP}/to-https"),
    "error": lambda u: read(u.urlopen(f"{HTTP}/missing")),
    "nobody": lambda u: read(u.urlopen("http://127.0.0.1:1/")),
    "timeout": lambda u: read(u.urlopen(f"{HTTP}/silent", timeout=0.1)),
    "basic": lambda u: with_password(u, "HTTPBasicAuthHandler", "/basic"),
    "digest": lambda u: with_password(u, "HTTPDigestAuthHandler", "/digest"),
    "http by proxy": lambda u: opened(u, f"{HTTP}/redirect", u.ProxyHandler({"http": AT["proxy"]})),
    "https by proxy": lambda u: opened(u, f"{HTTPS}/ok", u.ProxyHandler({"https": AT["proxy"]})),
    "proxy refuses": lambda u: opened(u, "https://refused.test/", u.ProxyHandler({"https": AT["refusing proxy"]})),
    "proxy of the environment": by_environment_of_urllib,
    "default opener": by_default_opener,
    "subclass": by_subclass_of_handler,
    "debug level": debugging,
    "retrieve": lambda u: retrieved(u, f"{HTTP}/redirect"),
}
SOCKS: dict[str, Callable[[Any], str]] = {
    "http by socks": lambda u: opened(u, f"{HTTP}/redirect", u.ProxyHandler({"http": AT["socks"]})),
    "https by socks": lambda u: opened(u, f"{HTTPS}/ok", u.ProxyHandler({"https": AT["socks"]})),
}


# ------------------------------------------------------------------------------------------------------------------------

found: dict[str, dict[str, Any]] = {}


def use(door: str, way: str, function: Callable[[Any], str], argument: Any) -> None:
    past.clear()
    try:
        outcome = function(argument)
    except Exception as error:
        outcome = type(error).__name__
    found[f"{door}: {way}"] = {"outcome": outcome, "past": sorted(set(past))}


def use_requests(door: str, make: Callable[[], Any]) -> None:
    for way, function in REQUESTS.items():
        with make() as session:
            session.verify = CA
            session.mount("http+unix://", session.get_adapter("http://"))
            use(door, way, function, session)


def main() -> None:
    use_requests("requests", requests.Session)
    for way, function in URLLIB.items():
        use("urllib.request", way, function, urllib.request)
    for door, make in SESSIONS.items():
        if door == "installed":
            drivetrain.compat.install("requests", "urllib")
        use_requests(door, make)
    for way, function in URLLIB.items():
        use("urllib.request, installed", way, function, urllib.request)
    use("requests.get, installed", "get", lambda _: of(requests.get(f"{HTTP}/redirect")), None)
    drivetrain.compat.uninstall()
    use("requests_api.get", "get", lambda _: of(requests_api.get(f"{HTTP}/redirect")), None)
    for way, function in {**URLLIB, **SOCKS}.items():
        use("urllib_api", way, function, urllib_api)
    urllib_api.close_connections()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
