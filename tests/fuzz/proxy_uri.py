"""Whatever is given as the URI of a proxy is refused or is one that its own name stands for; no text shows its password."""

from __future__ import annotations

from drivetrain.engine.connection.proxy import PROXY_PORTS, Proxy
from drivetrain.engine.errors import UsageError
from drivetrain.engine.policy.proxies import Proxies

SEEDS = (
    b"http://user:p%40ss@proxy.example:3128/",
    b"socks5h://localhost/run/proxy.sock",
    b"http+unix://%2Frun%2Fproxy.sock",
    b"proxy.example:80",
    b"socks://[::1]:1",
    b"https://:@host?x#y",
    b"socks4://u:p@127.1",
    b"\xc3\xbc:\xff@b\xc3\xbccher.example",
)
SECRET = "Geheim123"


def check(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    _check(text, None)
    scheme, mark, rest = text.rpartition("//")
    _check(f"{scheme}{mark}me:{SECRET}@{rest}", SECRET)


def _check(text: str, secret: str | None) -> None:
    refusal: UsageError | None = None
    try:
        proxy = Proxy.from_uri(text)
    except UsageError as error:
        refusal = error
    if refusal is not None:
        assert secret is None or secret not in str(refusal)
        environment = {"all_proxy": text}
        if text.strip() and text.isprintable():
            # What the program may not say, the environment may: it fails what it is for.
            assert Proxies().update(environment.get)
        return
    assert proxy.scheme in PROXY_PORTS
    assert 0 < proxy.port <= 65535
    assert hash(proxy) == hash(Proxy.from_uri(text))
    if secret is not None and secret not in (proxy.username or "") + proxy.host + (proxy.unix_path or ""):
        assert secret not in str(proxy) + repr(proxy)
    if proxy.unix_path is None:
        again = Proxy.from_uri(str(proxy))
        assert (again.scheme, again.host, again.port) == (proxy.scheme, proxy.host, proxy.port)
        assert again.username is None
    if not proxy.is_socks:
        for name, value in proxy.fields():
            assert (name, value.isascii()) == ("Proxy-Authorization", True)
