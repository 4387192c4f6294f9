"""The one request loop: prepare, authenticate, send, retry, follow redirects.

Every door goes through here, in both colours. Laws:

- the total deadline is fixed when the call begins and covers everything until the last byte of the body;
- every hop is prepared anew (HSTS, cookies, proxy), and credentials stay with the origin they were meant for;
- of the answers that lead to another request, none keeps its exchange.
"""

from __future__ import annotations

from ..backends.base import FOREVER
from ..connection.connector import OriginKey
from ..connection.tunnel import Authenticate
from ..errors import EngineError, TooManyRedirects
from ..wire.uri import Uri
from .outgoing import Outgoing
from .redirects import RedirectPolicy, is_redirect, next_location, redirected_headers, redirected_method
from .response_core import ResponseCore
from .rules import NO_RULES, Credentials, Rules, proxy_authenticator
from .sending import Sender
from .timeouts import Timeouts
from .timings import Timings

__all__ = ["UserAgent"]

# What reading the body of an answer that nobody wants may cost before a new connection is cheaper, in bytes and seconds.
_DISCARD_BYTES = 16 * 1024
_DISCARD_TIME = 1.0
_EXPECTATION_FAILED = 417


class UserAgent(Sender):
    """See the module and `Sender`.

    Attributes:
        rules: for requests that bring none of their own.
    """

    rules: Rules = NO_RULES

    def authenticator(self, key: OriginKey) -> Authenticate | None:
        """See `Sender.authenticator`."""
        auth = self.rules.proxy_auth
        return None if auth is None else proxy_authenticator(auth, key)

    async def send(
        self, outgoing: Outgoing, timeouts: Timeouts, redirects: RedirectPolicy, rules: Rules | None = None
    ) -> ResponseCore:
        """Send a request and return its final response, body unread, redirects followed.

        Args:
            rules: instead of the agent's own.

        Raises:
            EngineError: see `errors`; no connection is left open then.
        """
        now = self.backend.now()
        deadline = FOREVER if timeouts.total is None else now + timeouts.total
        timings = Timings(now)
        if rules is None:
            rules = self.rules
        if rules is NO_RULES and outgoing.auth is None:
            response = await self.hop(outgoing, timeouts, deadline, timings)
        else:
            response = await self._by_the_rules(rules, outgoing, timeouts, deadline, timings)
        if not redirects.follow or not is_redirect(response.status, response.headers):
            return response
        return await self._follow(response, timeouts, redirects, rules)

    async def _by_the_rules(
        self, rules: Rules, outgoing: Outgoing, timeouts: Timeouts, deadline: float, timings: Timings
    ) -> ResponseCore:
        """One hop, with all that the rules ask for around it, sent as often as their retries allow."""
        rules.prepare(outgoing, self.origins)
        retries = rules.retries
        body = outgoing.body
        made = 0
        while True:
            try:
                response = await self._authenticated(rules, outgoing, timeouts, deadline, timings)
            except EngineError as error:
                wait = retries.after_failure(made, outgoing.method, error) if retries.attempts else None
                if wait is None or not (body is None or body.is_replayable) or self.backend.now() + wait >= deadline:
                    raise
            else:
                wait = None
                if retries.attempts and (body is None or body.is_replayable):
                    wait = retries.after_response(made, outgoing.method, response.status, response.headers)
                if wait is None or self.backend.now() + wait >= deadline:
                    return response
                await self.discard(response)
            await self.backend.sleep_until(self.backend.now() + wait)
            made += 1
            _renew(rules, outgoing)

    async def _authenticated(
        self, rules: Rules, outgoing: Outgoing, timeouts: Timeouts, deadline: float, timings: Timings
    ) -> ResponseCore:
        """Send with credentials, take to heart what each response says, and answer those that ask for something else."""
        credentials = None
        if outgoing.auth is not None or rules.proxy_auth is not None:
            credentials = Credentials(rules, outgoing)
        while True:
            response = await self.hop(outgoing, timeouts, deadline, timings)
            rules.learn(outgoing, response.status, response.headers)
            if response.status == _EXPECTATION_FAILED and outgoing.waits_for_continue:
                # RFC 9110 section 10.1.1: once more without the expectation, which is then gone.
                body = outgoing.body
                if not (body is None or body.is_replayable):
                    return response
                outgoing.headers.delete("expect")
            elif credentials is None or not credentials.asks_again(response.status, response.headers):
                return response
            await self.discard(response)
            _renew(rules, outgoing)

    async def _follow(
        self, response: ResponseCore, timeouts: Timeouts, policy: RedirectPolicy, rules: Rules
    ) -> ResponseCore:
        history: list[ResponseCore] = []
        deadline = response.deadline
        chain: tuple[str, ...] = (str(response.outgoing.uri),)
        while is_redirect(response.status, response.headers):
            try:
                target = next_location(response.outgoing.uri, response.headers, chain, response.outgoing.is_websocket)
                chain = (*chain, str(target))
                if len(history) >= policy.limit:
                    raise TooManyRedirects(f"more than {policy.limit} redirects", chain)
                outgoing = self._redirected(response, rules.upgraded(target), policy)
            except BaseException:
                response.close()
                raise
            await self.discard(response)
            history.append(response)
            response = await self._by_the_rules(rules, outgoing, timeouts, deadline, response.timings)
        response.history = tuple(history)
        return response

    def _redirected(self, response: ResponseCore, target: Uri, policy: RedirectPolicy) -> Outgoing:
        source = response.outgoing
        method = redirected_method(source.method, response.status, policy)
        body = source.body if method == source.method else None
        if body is not None:
            body.rewind()
        headers = redirected_headers(source.headers, source.uri, target, method == source.method)
        headers.upsert(":method", method)
        headers.upsert(":scheme", target.scheme)
        headers.upsert(":authority", target.authority)
        headers.upsert(":path", target.target)
        outgoing = source.following(method, target, headers, body, self.origins)
        outgoing.continue_wait = source.continue_wait
        same = source.uri.origin == target.origin
        if source.own_cookies is not None:
            outgoing.own_cookies = source.own_cookies if same else ""
        if source.auth is not None and (same or source.auth.is_by_host):
            outgoing.auth = source.auth
        return outgoing

    async def discard(self, response: ResponseCore) -> None:
        """Be done with a redirect: read a small body to keep the connection, close that of a large, slow or broken one."""
        head = response.stream.response
        left = _DISCARD_BYTES
        if head is not None and (head.length or 0) <= left:
            deadline = response.deadline
            response.deadline = min(deadline, self.backend.now() + _DISCARD_TIME)
            try:
                while left > 0 and (piece := await response.read_raw()) is not None:
                    left -= len(piece)
            except EngineError:
                # Nobody wants to read it; where to go next is known.
                if self.backend.now() >= deadline:
                    raise
            finally:
                response.deadline = deadline
                response.close()
        response.close()


def _renew(rules: Rules, outgoing: Outgoing) -> None:
    """Make a request ready to be sent again, after an answer that may have set cookies."""
    if outgoing.body is not None:
        outgoing.body.rewind()
    rules.add_cookies(outgoing)
