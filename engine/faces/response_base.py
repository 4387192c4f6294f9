"""What a response is made of, the same for both colours."""

from __future__ import annotations

import codecs
import json
import re
import ssl
from typing import Any, NamedTuple

from ..backends.base import Address
from ..errors import StatusError, UsageError
from ..policy.readers import BodyReader
from ..policy.response_core import ResponseCore
from ..policy.timings import Timings
from ..wire.headers import Headers

__all__ = ["ConnectionInfo", "ResponseBase"]

_VERSIONS = {1.0: "1.0", 1.1: "1.1", 2.0: "2"}
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)


class ConnectionInfo(NamedTuple):
    """The connection a response came over.

    Attributes:
        peer: the next hop: the proxy, where there is one.
        local: this end.
        tls_version: as OpenSSL names it ("TLSv1.3"), None in clear.
        cipher: OpenSSL's name of the cipher, None in clear.
        alpn: the protocol agreed on in the TLS handshake, None without.
        reused: whether the connection had carried a request before this one.
        ssl_object: the TLS session, for its certificates; None in clear.
    """

    peer: Address
    local: Address
    tls_version: str | None
    cipher: str | None
    alpn: str | None
    reused: bool
    ssl_object: ssl.SSLObject | None


class ResponseBase:
    """Facts of a response. Used by one thread or task at a time."""

    _reader: BodyReader | None = None

    def __init__(self, core: ResponseCore) -> None:
        self._core = core
        self.status = core.status

    @property
    def _body(self) -> BodyReader:
        """Made when it is asked for: whoever reads the raw body never does."""
        reader = self._reader
        if reader is None:
            reader = self._reader = BodyReader(self._core)
        return reader

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status} {self.reason} {self.url}>"

    @property
    def reason(self) -> str:
        """The reason phrase as it came, perhaps empty; over HTTP/2, which has none, the registered one of the status."""
        return self._core.reason

    @property
    def headers(self) -> Headers:
        """The header section; `:status` is its first field."""
        return self._core.headers

    @property
    def trailers(self) -> Headers | None:
        """The trailer section, None before the end of the body and where there is none."""
        return self._core.trailers

    @property
    def early_responses(self) -> list[Headers]:
        """The informational (1xx) responses that came before this one, each with its `:status`."""
        return self._core.early

    @property
    def http_version(self) -> str:
        """The version the server spoke: "1.0", "1.1" or "2"."""
        return _VERSIONS[self._core.version]

    @property
    def url(self) -> str:
        """What was requested, in the last hop, without userinfo."""
        return str(self._core.outgoing.uri)

    @property
    def method(self) -> str:
        """The method of the request, in the last hop."""
        return self._core.outgoing.method

    @property
    def request_headers(self) -> Headers:
        """The headers that were sent, pseudo-header fields included."""
        return self._core.outgoing.headers

    @property
    def connection(self) -> ConnectionInfo:
        """The connection this came over."""
        # The stream's own addresses: the connection forgets its own when it is closed.
        stream = self._core.connection.stream
        session = stream.ssl_object
        cipher = None if session is None else session.cipher()
        return ConnectionInfo(
            peer=stream.peer_address,
            local=stream.local_address,
            tls_version=None if session is None else session.version(),
            cipher=None if cipher is None else cipher[0],
            alpn=None if session is None else session.selected_alpn_protocol(),
            reused=self._core.reused,
            ssl_object=session,
        )

    def fileno(self) -> int:
        """The descriptor of the connection, -1 when it is closed: for waiting; what was received already is not in it."""
        return self._core.connection.stream.fileno()

    @property
    def read_timeout(self) -> float | None:
        """Seconds that the server may send nothing while the body is read, None for no limit.

        It can be set, for waits that begin after that; the limit for the whole call stays.
        """
        return self._core.stream.read_timeout

    @read_timeout.setter
    def read_timeout(self, seconds: float | None) -> None:
        core = self._core
        if not core.is_complete:  # the connection may be another's by now
            core.stream.limit_waits(seconds, None)

    @property
    def timings(self) -> Timings:
        """When the steps of the call happened, redirects included."""
        return self._core.timings

    @property
    def is_error(self) -> bool:
        """Whether the status is 400 or above."""
        return self.status >= 400

    def raise_for_status(self) -> None:
        """Raise `StatusError` when the status is 400 or above."""
        if self.status >= 400:
            raise StatusError(f"{self.status} {self.reason} for {self.url}", self.status)

    # -- a body that was read ------------------------------------------------------------------------------------------

    @property
    def content(self) -> bytes:
        """The whole content, decoded; raises `UsageError` when it was not read yet (see `read`)."""
        content = self._body.content
        if content is None:
            raise UsageError("the body was not read: call read() first")
        return content

    def take_raw(self) -> bytes | None:
        """All that is left of the body, as `iter_raw` has it, if it has come already and its length was told; else None.

        Never waits; where it returns None nothing is taken, and the body is to be read in another way.
        """
        return self._core.take_raw()

    async def load(self) -> None:
        """Read the whole content, and close the connection when that fails."""
        try:
            reader = self._body
            if not reader.take_at_once():
                await reader.read(None)
        except BaseException:
            self._core.abandon()
            raise

    @property
    def charset(self) -> str:
        """The charset Content-Type names, if Python knows it, else UTF-8."""
        match = _CHARSET.search(self.headers.get("content-type", ""))
        if match is not None:
            try:
                # Python also has codecs that are none of text, or cannot go on after a malformed byte.
                b"a".decode(match.group(1), "replace")
                return codecs.lookup(match.group(1)).name
            except (LookupError, ValueError):
                pass
        return "utf-8"

    @property
    def text(self) -> str:
        """`content` as text in `charset`; malformed bytes become U+FFFD."""
        return self.content.decode(self.charset, "replace")

    def json(self) -> Any:
        """`content` read as JSON; raises `ValueError` when it is none."""
        return json.loads(self.content)
