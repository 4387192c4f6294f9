"""Authentication: the flows, and Digest's arithmetic against RFC 7616's own examples."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from drivetrain.engine.connection.connector import OriginKey
from drivetrain.engine.connection.dial import DialOptions
from drivetrain.engine.errors import InvalidHeader, UsageError
from drivetrain.engine.policy.auth import AnswerHead, Auth, BasicAuth, BearerAuth, DigestAuth, NetrcAuth, make_auth
from drivetrain.engine.policy.bodies import BytesBody, IterableBody, RequestBody
from drivetrain.engine.policy.digest import DigestSession, choose_challenge
from drivetrain.engine.policy.outgoing import Outgoing
from drivetrain.engine.wire.challenges import Challenge, parse_challenges
from drivetrain.engine.wire.headers import Headers
from drivetrain.engine.wire.uri import parse_uri

EXAMPLE = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def request(
    method: str = "GET", url: str = "http://example.org/dir/index.html", body: RequestBody | None = None
) -> Outgoing:
    uri = parse_uri(url)
    headers = Headers(
        [(":method", method), (":scheme", uri.scheme), (":authority", uri.authority), (":path", uri.target)]
    )
    return Outgoing(method, uri, headers, body, OriginKey("http", uri.host, uri.port, None, DialOptions()))


def refusal(*challenges: str, status: int = 401, name: str = "WWW-Authenticate") -> AnswerHead:
    return AnswerHead(status, Headers([(":status", str(status)), *((name, challenge) for challenge in challenges)]))


def success(*fields: tuple[str, str]) -> AnswerHead:
    return AnswerHead(200, Headers([(":status", "200"), *fields]))


def parameters(outgoing: Outgoing, name: str = "authorization") -> dict[str, str]:
    (challenge,) = parse_challenges(outgoing.headers.get_as_sequence(name))
    assert challenge.scheme == "digest"
    return challenge.parameters


def session(value: str, user: str = "Mufasa", password: str = "Circle of Life") -> DigestSession:
    challenge = choose_challenge(parse_challenges([value]))
    assert challenge is not None
    return DigestSession(challenge, user, password)


class TestSimpleOnes:
    def test_basic(self) -> None:
        (sent,) = BasicAuth("Aladdin", "open sesame").flow(request())
        assert sent.headers.get("authorization") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # RFC 7617 section 2
        assert [never for name, _, never in sent.headers.each() if name == "authorization"] == [True]

    def test_basic_speaks_utf_8(self) -> None:
        (sent,) = BasicAuth("test", "123£").flow(request())
        assert sent.headers.get("authorization") == "Basic dGVzdDoxMjPCow=="  # RFC 7617 section 2.1

    @pytest.mark.parametrize(("user", "password"), [("a:b", "c"), ("a\n", "b"), ("a", "b\0")])
    def test_basic_refuses(self, user: str, password: str) -> None:
        with pytest.raises(UsageError):
            BasicAuth(user, password)

    def test_bearer(self) -> None:
        (sent,) = BearerAuth("mF_9.B5f-4.1JqM").flow(request())
        assert sent.headers.get("authorization") == "Bearer mF_9.B5f-4.1JqM"

    @pytest.mark.parametrize("token", ["", "a b", "a\r\nb", "ä"])
    def test_bearer_refuses(self, token: str) -> None:
        with pytest.raises(InvalidHeader):
            BearerAuth(token)

    def test_to_a_proxy(self) -> None:
        (sent,) = BasicAuth("a", "b").flow(request(), proxy=True)
        assert sent.headers.get("proxy-authorization") == "Basic YTpi"
        assert not sent.headers.has("authorization")

    def test_arguments(self) -> None:
        auth = BearerAuth("x")
        assert make_auth(auth) is auth
        assert make_auth(None) is None
        assert isinstance(make_auth(("a", "b")), BasicAuth)
        with pytest.raises(TypeError):
            make_auth("a:b")  # type: ignore[arg-type]


class TestNetrc:
    @pytest.fixture
    def auth(self, tmp_path: Path) -> Auth:
        path = tmp_path / "netrc"
        path.write_text("machine example.org login me password secret\n")
        path.chmod(0o600)
        return NetrcAuth(path)

    def test_by_host(self, auth: Auth) -> None:
        (sent,) = auth.flow(request())
        assert sent.headers.get("authorization") == "Basic " + base64.b64encode(b"me:secret").decode()
        (other,) = auth.flow(request(url="http://example.com/"))
        assert not other.headers.has("authorization")

    def test_what_the_request_has_stays(self, auth: Auth) -> None:
        outgoing = request()
        outgoing.headers.append("Authorization", "Bearer x")
        (sent,) = auth.flow(outgoing)
        assert sent.headers.get("authorization") == "Bearer x"

    def test_from_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "mine"
        path.write_text("default login you password pass\n")
        path.chmod(0o600)
        monkeypatch.setenv("NETRC", str(path))
        (sent,) = NetrcAuth().flow(request())
        assert sent.headers.get("authorization") == "Basic " + base64.b64encode(b"you:pass").decode()
        monkeypatch.setenv("NETRC", str(tmp_path / "none"))
        (sent,) = NetrcAuth().flow(request())
        assert not sent.headers.has("authorization")

    def test_a_broken_file(self, tmp_path: Path) -> None:
        (tmp_path / "netrc").write_text("machine\n")
        with pytest.raises(UsageError, match="netrc"):
            NetrcAuth(tmp_path / "netrc")
        with pytest.raises(UsageError, match="none"):
            NetrcAuth(tmp_path / "none")


class TestDigestArithmetic:
    @pytest.mark.parametrize(
        ("algorithm", "response"),
        [  # RFC 7616 section 3.9.1
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ],
    )
    def test_the_first_example(self, algorithm: str, response: str) -> None:
        value = session(EXAMPLE.format(algorithm)).authorize("GET", "/dir/index.html", None, CNONCE)
        (challenge,) = parse_challenges([value])
        assert challenge.parameters == {
            "username": "Mufasa",
            "realm": "http-auth@example.org",
            "uri": "/dir/index.html",
            "algorithm": algorithm,
            "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            "nc": "00000001",
            "cnonce": CNONCE,
            "qop": "auth",
            "response": response,
            "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
        }

    def test_the_second_example(self) -> None:
        # RFC 7616 section 3.9.2, as corrected by its erratum 4897.
        asked = (
            'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
            'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
            'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true'
        )
        value = session(asked, "Jäsøn Doe", "Secret, or not?").authorize(
            "GET", "/doe.json", None, "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"
        )
        (challenge,) = parse_challenges([value])
        assert challenge.parameters["userhash"] == "true"
        assert challenge.parameters["username"] == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
        assert challenge.parameters["response"] == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"

    def test_without_qop(self) -> None:
        # As RFC 2617 section 3.2.2.1 has it for servers of RFC 2069.
        def md5(text: str) -> str:
            return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

        value = session('Digest realm="r", nonce="n"', "u", "p").authorize("GET", "/x", None)
        (challenge,) = parse_challenges([value])
        assert challenge.parameters["response"] == md5(f"{md5('u:r:p')}:n:{md5('GET:/x')}")
        assert "qop" not in challenge.parameters
        assert "algorithm" not in challenge.parameters

    def test_auth_int_covers_the_body(self) -> None:
        asked = 'Digest realm="r", nonce="n", qop="auth-int", algorithm=SHA-256'
        values = [session(asked).authorize("POST", "/", body, "c") for body in (b"one", b"two")]
        assert all("qop=auth-int" in value for value in values)
        assert values[0] != values[1]

    def test_a_session_keeps_its_key(self) -> None:
        own = session('Digest realm="r", nonce="n", qop="auth", algorithm=MD5-sess')
        first, second = (parse_challenges([own.authorize("GET", "/", None)])[0].parameters for _ in range(2))
        assert first["cnonce"] == second["cnonce"]
        assert (first["nc"], second["nc"]) == ("00000001", "00000002")
        assert first["response"] != second["response"]

    def test_a_name_in_utf_8(self) -> None:
        asked = 'Digest realm="r", nonce="n", qop="auth", charset=UTF-8'
        assert "username*=UTF-8''J%C3%A4s" in session(asked, "Jäs").authorize("GET", "/", None)
        old = session('Digest realm="r", nonce="n", qop="auth"', "Jäs").authorize("GET", "/", None)
        assert 'username="Jäs"' in old
        assert "username*=UTF-8''%E2%82%AC" in session('Digest realm="r", nonce="n"', "€").authorize("GET", "/", None)

    def test_quotes_are_escaped(self) -> None:
        value = session('Digest realm="say \\"r\\"", nonce="n"', 'a"b\\').authorize("GET", "/", None)
        assert 'realm="say \\"r\\""' in value
        assert 'username="a\\"b\\\\"' in value

    def test_the_strongest_known_is_chosen(self) -> None:
        asked = [
            f'Digest realm=r, nonce="{name}", algorithm={name}' for name in ("MD5", "SHA-256", "SHA-999", "MD5-sess")
        ]
        found = choose_challenge(parse_challenges([*asked, "Basic realm=r"]))
        assert found is not None
        assert found.parameters["nonce"] == "SHA-256"
        assert choose_challenge(parse_challenges(["Digest realm=r"])) is None
        assert choose_challenge([Challenge("basic")]) is None


class TestDigestFlow:
    asked = 'Digest realm="r", nonce="n1", qop="auth"'

    def test_asked_answered_remembered(self) -> None:
        auth = DigestAuth("u", "p")
        flow = auth.flow(request())
        assert not next(flow).headers.has("authorization")
        again = flow.send(refusal(self.asked))
        assert parameters(again)["nonce"] == "n1"
        with pytest.raises(StopIteration):
            flow.send(success())
        first = next(auth.flow(request(url="http://example.org/other")))
        assert parameters(first)["nc"] == "00000002"
        assert parameters(first)["uri"] == "/other"
        elsewhere = next(auth.flow(request(url="http://example.com/")))
        assert not elsewhere.headers.has("authorization")

    def test_refused_twice_is_final(self) -> None:
        flow = DigestAuth("u", "wrong").flow(request())
        next(flow)
        flow.send(refusal(self.asked))
        with pytest.raises(StopIteration):
            flow.send(refusal(self.asked.replace("n1", "n2")))

    def test_a_stale_nonce_is_replaced(self) -> None:
        flow = DigestAuth("u", "p").flow(request())
        next(flow)
        flow.send(refusal(self.asked))
        renewed = flow.send(refusal(self.asked.replace("n1", "n2") + ", stale=true"))
        assert parameters(renewed)["nonce"] == "n2"
        assert parameters(renewed)["nc"] == "00000001"

    def test_stale_for_ever_ends(self) -> None:
        flow = DigestAuth("u", "p").flow(request())
        next(flow)
        with pytest.raises(StopIteration):
            for _ in range(20):
                flow.send(refusal(self.asked + ", stale=true"))

    def test_a_nonce_that_was_forgotten(self) -> None:
        auth = DigestAuth("u", "p")
        flow = auth.flow(request())
        next(flow)
        flow.send(refusal(self.asked))
        flow = auth.flow(request())
        assert parameters(next(flow))["nonce"] == "n1"
        assert parameters(flow.send(refusal(self.asked.replace("n1", "n2"))))["nonce"] == "n2"

    def test_the_next_nonce(self) -> None:
        auth = DigestAuth("u", "p")
        flow = auth.flow(request())
        next(flow)
        flow.send(refusal(self.asked))
        with pytest.raises(StopIteration):
            flow.send(success(("Authentication-Info", 'nextnonce="n9"')))
        following = parameters(next(auth.flow(request())))
        assert (following["nonce"], following["nc"]) == ("n9", "00000001")

    def test_a_body_that_cannot_be_sent_again(self) -> None:
        body = IterableBody(iter([b"x"]))
        flow = DigestAuth("u", "p").flow(request("POST", body=body))
        next(flow)
        while body.is_replayable:
            with pytest.raises(StopIteration):
                body.read().send(None)
        with pytest.raises(StopIteration):
            flow.send(refusal(self.asked))

    def test_a_body_goes_along(self) -> None:
        flow = DigestAuth("u", "p").flow(request("POST", body=BytesBody(b"x")))
        next(flow)
        again = flow.send(refusal(self.asked))
        assert again.body is not None
        assert re.fullmatch("[0-9a-f]{32}", parameters(again)["response"])

    def test_unknown_protection(self) -> None:
        flow = DigestAuth("u", "p").flow(request())
        next(flow)
        with pytest.raises(StopIteration):
            flow.send(refusal('Digest realm="r", nonce="n", qop="quantum"'))

    def test_a_proxy(self) -> None:
        flow = DigestAuth("u", "p").flow(request(), proxy=True)
        next(flow)
        with_401 = refusal(self.asked)
        with pytest.raises(StopIteration):
            flow.send(with_401)
        flow = DigestAuth("u", "p").flow(request(), proxy=True)
        next(flow)
        again = flow.send(refusal(self.asked, status=407, name="Proxy-Authenticate"))
        assert parameters(again, "proxy-authorization")["nonce"] == "n1"
