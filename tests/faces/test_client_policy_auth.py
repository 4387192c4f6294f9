"""Authentication through both clients: who gets which credentials, when, and who does not."""

from __future__ import annotations

import base64
import hashlib
import io
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from drivetrain.engine import Auth, BearerAuth, DigestAuth, Headers, NetrcAuth
from drivetrain.engine.errors import BodyNotReplayable, UsageError
from drivetrain.engine.policy.auth import AuthFlow
from drivetrain.engine.policy.outgoing import Outgoing
from drivetrain.engine.wire.challenges import parse_challenges
from tests.faces.colours import Clients
from tests.faces.policy_support import World, moved, say
from tests.faces.site import Target
from tests.support.certificates import Certificates


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class DigestGate:
    """A page that wants Digest, and proves what it is given (RFC 7616), each count of a nonce once.

    Args:
        lasts: how many requests a nonce is good for; after that it is stale.
        tells_next: whether every answer names the next nonce.
    """

    def __init__(self, lasts: int = 1000, tells_next: bool = False, user: str = "u", password: str = "p") -> None:
        self.lasts = lasts
        self.tells_next = tells_next
        self.user, self.password = user, password
        self.number = 0
        self.used: list[tuple[str, int]] = []
        self.bodies: list[bytes] = []
        self.asked = 0
        self._lock = threading.Lock()

    def __call__(self, target: Target) -> None:
        body = target.stream.get_body_as_string()
        with self._lock:
            fault = self.fault(target.headers)
            if fault is None:
                self.bodies.append(body)
                fields = []
                if self.tells_next:
                    self.number += 1
                    fields = [("authentication-info", f'nextnonce="n{self.number}"')]
                target.answer(200, b"welcome", *fields)
                return
            self.asked += 1
            if fault == "stale":
                self.number += 1
        stale = ", stale=true" if fault == "stale" else ""
        challenge = f'Digest realm="r", nonce="n{self.number}", qop="auth", algorithm=SHA-256{stale}'
        target.answer(401, b"who are you?", ("www-authenticate", challenge))

    def fault(self, headers: Headers) -> str | None:
        value = headers.get("authorization")
        if value is None:
            return "nothing"
        (challenge,) = parse_challenges([value])
        given = challenge.parameters
        use = (given["nonce"], int(given["nc"], 16))
        if given["nonce"] != f"n{self.number}":
            return "stale"
        key = sha256(f"{self.user}:r:{self.password}")
        about = sha256(f"{headers.get(':method')}:{headers.get(':path')}")
        proof = sha256(f"{key}:{given['nonce']}:{given['nc']}:{given['cnonce']}:auth:{about}")
        if proof != given["response"] or given["uri"] != headers.get(":path"):
            return "wrong"
        if use in self.used or use[1] > self.lasts:
            return "stale"
        self.used.append(use)
        return None


class TestBasic:
    def test_for_the_client_and_for_a_request(self, world: World) -> None:
        client = world.client(auth=("u", "p"))
        client.get(world.secure.at("/"))
        client.get(world.secure.at("/"), auth=("ü", "other"))
        client.get(world.secure.at("/"), headers={"Authorization": "mine"})
        client.get(world.secure.at("/").replace("//", "//in:uri%20x@"))
        expected = [basic("u", "p"), basic("ü", "other"), "mine", basic("in", "uri x")]
        assert world.secure.told("authorization") == expected

    def test_without_any_other_rule(self, world: World) -> None:
        client = world.client(cookies=False, hsts=False)
        client.get(world.plain.at("/"), auth=("u", "p"))
        assert world.plain.told("authorization") == [basic("u", "p")]

    def test_a_refusal_is_final(self, world: World) -> None:
        world.plain.pages["/"] = say(401, ("www-authenticate", 'Basic realm="r"'), body=b"no")
        response = world.client(auth=("u", "wrong")).get(world.plain.at("/"))
        assert (response.status, response.content) == (401, b"no")
        assert len(world.plain.seen) == 1

    def test_bearer(self, world: World) -> None:
        world.client(auth=BearerAuth("token")).get(world.secure.at("/"))
        assert world.secure.told("authorization") == ["Bearer token"]

    @pytest.mark.parametrize("auth", ["user:password", ("u",), ("u", 1), 5])
    def test_what_is_none(self, world: World, auth: Any) -> None:
        with pytest.raises(TypeError, match="auth"):
            world.client().get(world.plain.at("/"), auth=auth)
        assert world.plain.seen == []


class TestRedirects:
    @pytest.mark.parametrize("where", ["client", "request", "header", "uri"])
    def test_within_the_origin_they_stay(self, world: World, where: str) -> None:
        self.send(world, where, "/b")
        assert world.secure.told("authorization") == [basic("u", "p")] * 2

    @pytest.mark.parametrize("where", ["client", "request", "header", "uri"])
    @pytest.mark.parametrize("place", ["host", "scheme"])
    def test_to_another_they_do_not_go(self, world: World, where: str, place: str) -> None:
        to = world.secure.at("/b", "other.example") if place == "host" else world.plain.at("/b")
        self.send(world, where, to)
        both = [*world.secure.seen, *world.plain.seen]
        assert [headers.get("authorization") for headers in both] == [basic("u", "p"), None]
        assert [headers.get("proxy-authorization") for headers in both] == [None, None]

    def test_and_do_not_come_back(self, world: World) -> None:
        world.secure.pages["/b"] = moved(world.secure.at("/c"))
        self.send(world, "client", world.secure.at("/b", "other.example"))
        assert world.secure.told("authorization") == [basic("u", "p"), None, None]

    def send(self, world: World, where: str, to: str) -> None:
        world.secure.pages["/a"] = moved(to)
        client = world.client(auth=("u", "p") if where == "client" else None)
        options: dict[str, Any] = {}
        if where == "request":
            options["auth"] = ("u", "p")
        if where == "header":
            options["headers"] = {"Authorization": basic("u", "p")}
        url = world.secure.at("/a")
        assert client.get(url.replace("//", "//u:p@") if where == "uri" else url, **options).status == 200

    def test_digest_does_not_follow_to_another_origin(self, world: World) -> None:
        gate = DigestGate()
        world.secure.pages["/a"] = moved(world.secure.at("/b", "other.example"))
        world.secure.pages["/b"] = gate
        response = world.client(auth=DigestAuth("u", "p")).get(world.secure.at("/a"))
        assert response.status == 401
        assert world.secure.told("authorization") == [None, None]

    def test_digest_within_the_origin(self, world: World) -> None:
        gate = DigestGate()
        world.secure.pages["/a"] = [gate, moved("/b")]
        world.secure.pages["/b"] = gate
        response = world.client(auth=DigestAuth("u", "p")).get(world.secure.at("/a"))
        assert response.status == 200
        assert gate.used == [("n0", 2)]


class TestNetrc:
    @pytest.fixture
    def auth(self, tmp_path: Path) -> NetrcAuth:
        path = tmp_path / "netrc"
        path.write_text("machine origin.example login o password op\nmachine other.example login x password xp\n")
        path.chmod(0o600)
        return NetrcAuth(path)

    def test_each_host_of_a_redirect_gets_its_own(self, world: World, auth: NetrcAuth) -> None:
        world.secure.pages["/a"] = moved(world.secure.at("/b", "other.example"))
        world.secure.pages["/b"] = moved(world.secure.at("/c", "127.0.0.1"))
        world.secure.pages["/c"] = moved(world.secure.at("/d"))
        world.client(auth=auth).get(world.secure.at("/a"))
        assert world.secure.told("authorization") == [basic("o", "op"), basic("x", "xp"), None, basic("o", "op")]

    def test_an_entry_without_anything(self, world: World, tmp_path: Path) -> None:
        path = tmp_path / "empty"
        path.write_text("machine sub.origin.example\n")
        path.chmod(0o600)
        if sys.version_info < (3, 11):  # whose parser refuses it
            with pytest.raises(UsageError, match="malformed"):
                NetrcAuth(path)
            return
        auth = NetrcAuth(path)
        world.client(auth=auth).get(world.secure.at("/", "sub.origin.example"))
        assert world.secure.told("authorization") == [None]

    def test_only_when_asked_for(self, world: World, auth: NetrcAuth, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NETRC", "/nowhere")
        world.client().get(world.secure.at("/"))
        world.client(auth=auth).get(world.secure.at("/"), headers={"Authorization": "mine"})
        assert world.secure.told("authorization") == [None, "mine"]


class TestDigest:
    def test_asked_once_then_known(self, world: World) -> None:
        gate = world.secure.pages["/"] = DigestGate()
        client = world.client(auth=DigestAuth("u", "p"))
        for _ in range(3):
            response = client.get(world.secure.at("/"))
            assert (response.status, response.content) == (200, b"welcome")
        assert gate.asked == 1
        assert gate.used == [("n0", 1), ("n0", 2), ("n0", 3)]
        assert client.statistics.created == 1

    def test_wrong_password(self, world: World) -> None:
        gate = world.secure.pages["/"] = DigestGate(password="other")
        response = world.client().get(world.secure.at("/"), auth=DigestAuth("u", "p"))
        assert (response.status, response.content) == (401, b"who are you?")
        assert gate.asked == 2

    def test_stale(self, world: World) -> None:
        gate = world.secure.pages["/"] = DigestGate(lasts=1)
        client = world.client(auth=DigestAuth("u", "p"))
        for _ in range(3):
            assert client.get(world.secure.at("/")).status == 200
        assert gate.used == [("n0", 1), ("n1", 1), ("n2", 1)]
        assert gate.asked == 3

    def test_next_nonce(self, world: World) -> None:
        gate = world.secure.pages["/"] = DigestGate(tells_next=True)
        client = world.client(auth=DigestAuth("u", "p"))
        for _ in range(3):
            assert client.get(world.secure.at("/")).status == 200
        assert gate.asked == 1
        assert gate.used == [("n0", 1), ("n1", 1), ("n2", 1)]

    def test_a_body_is_sent_again(self, world: World) -> None:
        gate = world.secure.pages["/"] = DigestGate()
        client = world.client()
        big = b"x" * 300_000
        for content in (b"bytes", big, io.BytesIO(big), [b"a", b"list"]):
            if world.colour == "asyncio" and isinstance(content, list):
                continue
            assert client.post(world.secure.at("/"), content=content, auth=DigestAuth("u", "p")).status == 200
        assert gate.bodies == [b"bytes", big, big, b"alist"][: len(gate.bodies)]
        assert len(gate.bodies) >= 3

    def test_a_body_that_cannot_be(self, world: World) -> None:
        gate = world.secure.pages["/"] = DigestGate()
        content = world.pieces([b"one", b"two"])
        response = world.client().post(world.secure.at("/"), content=content, auth=DigestAuth("u", "p"))
        assert (response.status, response.content) == (401, b"who are you?")
        assert (gate.asked, gate.bodies) == (1, [])

    def test_such_a_body_goes_when_the_nonce_is_known(self, world: World) -> None:
        gate = world.secure.pages["/"] = DigestGate()
        client = world.client(auth=DigestAuth("u", "p"))
        client.get(world.secure.at("/"))
        assert client.post(world.secure.at("/"), content=world.pieces([b"one", b"two"])).status == 200
        assert gate.bodies == [b"", b"onetwo"]

    def test_the_target_is_covered(self, world: World) -> None:
        gate = world.secure.pages["/a b"] = world.secure.pages["/a%20b"] = DigestGate()
        assert world.client().get(world.secure.at("/a b?q=ü"), auth=DigestAuth("u", "p")).status == 200
        assert gate.used == [("n0", 1)]


class TestFlows:
    """Ways to authenticate of a program's own."""

    def test_it_may_ask_again(self, world: World) -> None:
        class Counted(Auth):
            def flow(self, outgoing: Outgoing, proxy: bool = False) -> AuthFlow:
                for number in range(5):
                    outgoing.headers.upsert("x-try", str(number))
                    answer = yield outgoing
                    if answer.status != 401:
                        return

        world.plain.pages["/"] = [say(401), say(401), say(200)]
        assert world.client(auth=Counted()).get(world.plain.at("/")).status == 200
        assert world.plain.told("x-try") == ["0", "1", "2"]

    def test_it_may_say_nothing(self, world: World) -> None:
        class Silent(Auth):
            def flow(self, outgoing: Outgoing, proxy: bool = False) -> AuthFlow:
                yield from ()

        assert world.client(auth=Silent()).get(world.plain.at("/")).status == 200

    def test_a_body_that_is_gone_is_not_replaced_by_nothing(self, world: World) -> None:
        class Stubborn(Auth):
            def flow(self, outgoing: Outgoing, proxy: bool = False) -> AuthFlow:
                while True:
                    yield outgoing

        world.plain.pages["/"] = say(401)
        client = world.client(auth=Stubborn())
        with pytest.raises(BodyNotReplayable):
            client.post(world.plain.at("/"), content=world.pieces([b"x"]))
        assert len(world.plain.seen) == 1

    def test_a_name_with_a_colon(self, world: World) -> None:
        with pytest.raises(UsageError):
            world.client(auth=("a:b", "c"))


def test_a_nonce_shared_by_threads(made_up: Certificates) -> None:
    """Each count is used once, whoever uses it."""
    clients = Clients("blocking")
    world = World(made_up, ["http/1.1"], clients)
    with world.plain, world.secure:
        gate = world.plain.pages["/"] = DigestGate()
        client = world.client(auth=DigestAuth("u", "p"))
        client.get(world.plain.at("/"))
        statuses: list[int] = []

        def run() -> None:
            statuses.extend(client.get(world.plain.at("/")).status for _ in range(10))

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    clients.close()
    assert statuses == [200] * 80
    assert gate.asked == 1
    assert sorted(count for _, count in gate.used) == list(range(1, 82))
