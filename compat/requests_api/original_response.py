"""What stands where urllib3's response keeps http.client's: for cookie jars, and for code that reaches that deep."""

from __future__ import annotations

from http.client import HTTPMessage

from drivetrain.compat.field_names import fields_as_written
from drivetrain.compat.http_versions import VERSION_NUMBERS
from drivetrain.engine import Response

__all__ = ["OriginalResponse"]


class OriginalResponse:
    """The head of a response in http.client's terms.

    It is false when the response sets no cookie: requests looks for cookies twice in every response, at length, and skips
    both looks when what it is to look into is false.

    Attributes:
        status, reason, version: as in `http.client.HTTPResponse`; the version is 20 over HTTP/2.
    """

    def __init__(self, response: Response) -> None:
        self._response = response
        self._message: HTTPMessage | None = None
        self.status = self.code = response.status
        self.reason = response.reason
        self.version = VERSION_NUMBERS[response.http_version]

    def __bool__(self) -> bool:
        return self._response.headers.has("set-cookie")

    @property
    def msg(self) -> HTTPMessage:
        """The header section, with every repeated field."""
        if self._message is None:
            message = HTTPMessage()
            for name, value in self.getheaders():
                message.add_header(name, value)
            self._message = message
        return self._message

    headers = msg

    def info(self) -> HTTPMessage:
        """`msg`."""
        return self.msg

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """The values of a field, joined by commas."""
        values = self._response.headers.get_as_sequence(name)
        return ", ".join(values) if values else default

    def getheaders(self) -> list[tuple[str, str]]:
        """All fields, in order."""
        return fields_as_written(self._response.headers.raw_fields(), self._response.http_version)

    def isclosed(self) -> bool:
        """True: the body is not read through this object."""
        return True

    def close(self) -> None:
        """Nothing to do: see `isclosed`."""
