"""Netscape cookie files: what they say, and that curl, wget and `MozillaCookieJar` understand them, and we theirs."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from http.cookiejar import MozillaCookieJar
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivetrain.engine import Headers, Server
from drivetrain.engine.policy.cookie_files import format_cookie_file, parse_cookie_file
from drivetrain.engine.policy.cookie_rules import Cookie
from drivetrain.engine.policy.cookie_store import CookieStore
from tests.policy.cookie_support import NOW, new_store
from tests.support.peers import find_program

LATER = 4_000_000_000.0
SAMPLES = (
    Cookie("host", "1", "www.example.com"),
    Cookie("wide", "2", "example.com", host_only=False, expires=LATER),
    Cookie("secure", "3", "example.com", "/a", secure=True, expires=LATER),
    Cookie("hidden", "4", "example.com", host_only=False, http_only=True, expires=LATER),
    Cookie("empty", "", "example.com", expires=LATER),
    Cookie("", "nameless", "example.com", expires=LATER),
    Cookie("bytes", "\xc3\xa9\xff\x85", "example.com", expires=LATER),
    Cookie("ip", "5", "127.0.0.1", expires=LATER),
    Cookie("#name", "# value", "example.com", expires=LATER),
)


def store_of(*cookies: Cookie, is_real_time: bool = False) -> CookieStore:
    store, _ = new_store()
    if is_real_time:
        store.time = time.time
    for cookie in cookies:
        assert store.add(cookie)
    return store


def timeless(cookies: Any) -> list[Cookie]:
    return [Cookie(*(getattr(cookie, name) for name in Cookie.__slots__[:-1])) for cookie in cookies]


# --- the text ---------------------------------------------------------------------------------------------------------


def test_the_lines_of_a_file() -> None:
    text, count = format_cookie_file(SAMPLES[:6])
    head, _, lines = text.partition("\n\n")
    assert head.startswith("# Netscape HTTP Cookie File\n#")
    assert count == 6
    assert lines.splitlines() == [
        "www.example.com\tFALSE\t/\tFALSE\t0\thost\t1",
        ".example.com\tTRUE\t/\tFALSE\t4000000000\twide\t2",
        "example.com\tFALSE\t/a\tTRUE\t4000000000\tsecure\t3",
        "#HttpOnly_.example.com\tTRUE\t/\tFALSE\t4000000000\thidden\t4",
        "example.com\tFALSE\t/\tFALSE\t4000000000\tempty\t",
        "example.com\tFALSE\t/\tFALSE\t4000000000\t\tnameless",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("example.com\tFALSE\t/\tFALSE\t0\ta\tb", Cookie("a", "b", "example.com")),
        ("Example.COM\ttrue\t/\ttrue\t0\ta\tb", Cookie("a", "b", "example.com", host_only=False, secure=True)),
        (".example.com\tTRUE\t/\tFALSE\t0\ta\tb\r", Cookie("a", "b", "example.com", host_only=False)),
        # Where the dot and column 2 say different things, column 2 counts, as in curl.
        (".example.com\tFALSE\t/\tFALSE\t0\ta\tb", Cookie("a", "b", "example.com")),
        ("example.com\tTRUE\t/\tFALSE\t0\ta\tb", Cookie("a", "b", "example.com", host_only=False)),
        ("example.com\tFALSE\t/\tFALSE\t\ta\tb", Cookie("a", "b", "example.com")),
        ("example.com\tFALSE\t/\tFALSE\t17.5\ta\tb", Cookie("a", "b", "example.com", expires=17.5)),
        ("example.com\tFALSE\t/\tFALSE\t-1\ta\tb", Cookie("a", "b", "example.com", expires=-1)),
        ("example.com\tFALSE\t/\tFALSE\t0\ta", Cookie("a", "", "example.com")),
        ("#HttpOnly_example.com\tFALSE\t/\tFALSE\t0\ta\tb", Cookie("a", "b", "example.com", http_only=True)),
        # wget adds the port.
        ("example.com:8080\tFALSE\t/\tFALSE\t0\ta\tb", Cookie("a", "b", "example.com")),
        ("example.com:x\tFALSE\t/\tFALSE\t0\ta\tb", None),
        ("[::1]:80\tFALSE\t/\tFALSE\t0\ta\tb", Cookie("a", "b", "::1")),
        ("::1\tFALSE\t/\tFALSE\t0\ta\tb", Cookie("a", "b", "::1")),
        ("\tFALSE\t/\tFALSE\t0\ta\tb", None),
        ("[::1]\tFALSE\t/\tFALSE\t0\ta\tb", Cookie("a", "b", "::1")),
        ("#example.com\tFALSE\t/\tFALSE\t0\ta\tb", None),
        ("# comment", None),
        ("", None),
        ("example.com\tFALSE\t/\tFALSE\t0", None),
        ("example.com\tFALSE\t/\tFALSE\t0\ta\tb\tc", None),
        ("example.com\tFALSE\t/\tFALSE\tsoon\ta\tb", None),
        ("example.com\tFALSE\t/\tFALSE\tnan\ta\tb", None),
        ("example.com\tFALSE\tpath\tFALSE\t0\ta\tb", None),
        ("exa mple.com\tFALSE\t/\tFALSE\t0\ta\tb", None),
        ("example.com FALSE / FALSE 0 a b", None),
    ],
)
def test_a_line(line: str, expected: Cookie | None) -> None:
    assert parse_cookie_file(line) == ([] if expected is None else [expected])
    assert parse_cookie_file(f"\xef\xbb\xbf{line}\nx\n{line}\n") == ([] if expected is None else [expected] * 2)


def test_what_no_line_can_hold_is_left_out() -> None:
    tab = Cookie("a", "b\tc", "example.com")
    text, count = format_cookie_file([tab, SAMPLES[0], Cookie("x", "a\nb", "example.com")])
    assert count == 1
    assert parse_cookie_file(text) == [SAMPLES[0]]


@pytest.mark.parametrize(("expires", "column"), [(0.0, "1"), (-5.0, "1"), (1.9, "1"), (1e300, "253402300799")])
def test_extreme_times(expires: float, column: str) -> None:
    text, _ = format_cookie_file([Cookie("a", "b", "example.com", expires=expires)])
    assert text.splitlines()[-1].split("\t")[4] == column


# --- loading and saving -----------------------------------------------------------------------------------------------


def test_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    store = store_of(*SAMPLES)
    assert store.save_to_file(path) == len(SAMPLES)
    twin, _ = new_store()
    assert twin.load_from_file(str(path)) == len(SAMPLES)
    assert timeless(twin) == list(SAMPLES)
    assert path.read_bytes().count(b"\xc3\xa9\xff\x85\n") == 1


def test_session_cookies_can_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    store = store_of(*SAMPLES)
    assert store.save_to_file(path, keep_session=False) == len(SAMPLES) - 1
    store.save_to_file(path)
    twin, _ = new_store()
    assert twin.load_from_file(path, keep_session=False) == len(SAMPLES) - 1


def test_open_files() -> None:
    store, binary, text = store_of(*SAMPLES), io.BytesIO(), io.StringIO()
    store.save_to_file(binary)
    store.save_to_file(text)
    assert text.getvalue().encode("latin-1") == binary.getvalue()
    for file in (io.BytesIO(binary.getvalue()), io.StringIO(text.getvalue())):
        twin, _ = new_store()
        assert twin.load_from_file(file) == len(SAMPLES)


def test_what_a_store_refuses_is_not_loaded() -> None:
    lines = [
        "com\tTRUE\t/\tFALSE\t0\tsuffix\tx",
        "example.com\tFALSE\t/\tFALSE\t0\t__Secure-a\tx",
        "example.com\tTRUE\t/\tTRUE\t0\t__Host-a\tx",
        f"example.com\tFALSE\t/\tFALSE\t{int(NOW)}\texpired\tx",
        "example.com\tFALSE\t/\tFALSE\t0\ta;b\tx",
        f"example.com\tFALSE\t/\tFALSE\t{int(NOW) + 1}\tgood\tx",
    ]
    store, _ = new_store()
    assert store.load_from_file(io.StringIO("\n".join(lines))) == 1
    assert [cookie.name for cookie in store] == ["good"]


def test_a_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cookies.txt"
    path.write_text("before")

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            store_of(*SAMPLES).save_to_file(path)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["cookies.txt"]


@pytest.mark.skipif(os.name == "nt", reason="permissions and links are those of POSIX")
def test_permissions_and_links(tmp_path: Path) -> None:
    path, link = tmp_path / "cookies.txt", tmp_path / "link"
    store = store_of(*SAMPLES)
    store.save_to_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    link.symlink_to(path)
    path.write_text("")
    store.save_to_file(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert len(parse_cookie_file(path.read_text("latin-1"))) == len(SAMPLES)
    store.save_to_file("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    store, _ = new_store()
    with pytest.raises(FileNotFoundError):
        store.load_from_file(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        store.save_to_file(tmp_path / "none" / "cookies.txt")


NAMES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="=;\x7f"), max_size=8)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters=";=\x7f"), max_size=8)


@given(
    st.lists(
        st.builds(
            Cookie,
            name=NAMES,
            value=VALUES,
            domain=st.sampled_from(["example.com", "::1", "127.0.0.1", "xn--bcher-kva.example"]),
            path=NAMES.map(lambda text: "/" + text),
            host_only=st.booleans(),
            secure=st.booleans(),
            http_only=st.booleans(),
            expires=st.none() | st.integers(int(NOW) + 1, 253402300799).map(float),
        ),
        max_size=8,
    )
)
def test_every_store_survives_its_file(cookies: list[Cookie]) -> None:
    store, _ = new_store(psl=False)
    for cookie in cookies:
        store.add(cookie)
    file = io.BytesIO()
    assert store.save_to_file(file) == len(store)
    twin, _ = new_store(psl=False)
    twin.load_from_file(io.BytesIO(file.getvalue()))
    assert timeless(twin) == timeless(store)


# --- MozillaCookieJar -------------------------------------------------------------------------------------------------


def test_the_standard_library_reads_ours(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    store_of(*SAMPLES).save_to_file(path)
    path.write_bytes(path.read_bytes().replace(b"\xff\x85", b""))  # it reads UTF-8 only, or whatever the locale says
    jar = MozillaCookieJar()
    jar.load(str(path), ignore_discard=True, ignore_expires=True)
    found = {
        cookie.name: (cookie.domain, cookie.value, cookie.secure, cookie.has_nonstandard_attr("HTTPOnly"))
        for cookie in jar
    }
    assert len(found) == len(SAMPLES)
    assert found["host"] == ("www.example.com", "1", False, False)
    assert found["wide"] == (".example.com", "2", False, False)
    assert found["secure"] == ("example.com", "3", True, False)
    assert found["hidden"] == (".example.com", "4", False, True)
    assert found["nameless"] == ("example.com", None, False, False)
    assert found["empty"] == ("example.com", "", False, False)


def test_we_read_the_standard_library_s(tmp_path: Path) -> None:
    path, again = str(tmp_path / "cookies.txt"), str(tmp_path / "again.txt")
    samples = [cookie for cookie in SAMPLES if cookie.name != "bytes"]
    store_of(*samples).save_to_file(path)
    jar = MozillaCookieJar()
    jar.load(path, ignore_discard=True, ignore_expires=True)
    jar.save(again, ignore_discard=True, ignore_expires=True)
    store, _ = new_store()
    assert store.load_from_file(again) == len(samples)
    assert sorted(timeless(store), key=repr) == sorted(samples, key=repr)


# --- curl and wget ----------------------------------------------------------------------------------------------------


def cookie_server(_: Server, stream: Any) -> None:
    """Set three cookies; answer with those that came."""
    request = stream.get_headers()
    fields = [(":status", "200"), ("set-cookie", "session=1; Path=/")]
    fields += [("set-cookie", "lasting=2; Path=/; Max-Age=1000"), ("set-cookie", "hidden=3; HttpOnly; Max-Age=1000")]
    stream.write_headers(Headers(fields), end_stream=False)
    stream.write_body_from_string(request.get("cookie", "none"))


@pytest.fixture
def origin() -> Iterator[str]:
    with Server(cookie_server) as server:
        _, _, port = server.localname()
        yield f"http://127.0.0.1:{port}/"


def ours(path: Path) -> None:
    store = store_of(
        Cookie("a", "session", "127.0.0.1"),
        Cookie("b", "lasting", "127.0.0.1", expires=time.time() + 1000),
        Cookie("c", "hidden", "127.0.0.1", http_only=True, expires=time.time() + 1000),
        Cookie("d", "elsewhere", "example.com", expires=time.time() + 1000),
        Cookie("e", "secure", "example.com", secure=True, expires=time.time() + 1000),
        is_real_time=True,
    )
    assert store.save_to_file(path) == 5


def run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.peers
def test_curl_and_we_understand_each_other(origin: str, tmp_path: Path) -> None:
    path, jar = tmp_path / "cookies.txt", tmp_path / "jar.txt"
    ours(path)
    came = run(find_program("curl", "curl"), "-sS", "-b", str(path), "-c", str(jar), origin)
    assert sorted(came.split("; ")) == ["a=session", "b=lasting", "c=hidden"]
    store = CookieStore()
    assert store.load_from_file(jar) == 8
    found = {cookie.name: cookie for cookie in store}
    assert found["session"].host_only
    assert not found["session"].is_persistent
    assert found["hidden"].http_only
    assert found["lasting"].is_persistent
    assert store.get("example.com", "/", "d") == "elsewhere"


@pytest.mark.peers
def test_curl_sees_who_a_cookie_is_for(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    store_of(
        Cookie("wide", "1", "example.test", host_only=False), Cookie("exact", "2", "example.test"), is_real_time=True
    ).save_to_file(path)
    with Server(cookie_server) as server:
        port = server.localname()[2]
        for host, expected in (("example.test", ["exact=2", "wide=1"]), ("www.example.test", ["wide=1"])):
            resolve = f"{host}:{port}:127.0.0.1"
            came = run(
                find_program("curl", "curl"), "-sS", "--resolve", resolve, "-b", str(path), f"http://{host}:{port}/"
            )
            assert sorted(came.split("; ")) == expected


@pytest.mark.peers
def test_wget_and_we_understand_each_other(origin: str, tmp_path: Path) -> None:
    path, jar = tmp_path / "cookies.txt", tmp_path / "jar.txt"
    ours(path)
    save = ("--save-cookies", str(jar), "--keep-session-cookies")
    came = run(find_program("wget", "wget"), "-qO-", "--load-cookies", str(path), *save, origin)
    assert sorted(came.split("; ")) == ["a=session", "b=lasting"]  # HttpOnly lines are comments to wget
    store = CookieStore()
    store.load_from_file(jar)
    found = {cookie.name: cookie for cookie in store}
    assert {"a", "b", "d", "session", "lasting"} <= set(found)
    assert found["session"].host_only
    assert not found["session"].is_persistent
    assert found["lasting"].is_persistent


def test_threads_that_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    store = store_of(*SAMPLES)
    store.save_to_file(path)
    counts: list[int] = []

    def save() -> None:
        for _ in range(20):
            store.save_to_file(path)

    threads = [threading.Thread(target=save) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        twin, _ = new_store()
        counts.append(twin.load_from_file(path))
    for thread in threads:
        thread.join()
    assert set(counts) == {len(SAMPLES)}
    assert os.listdir(tmp_path) == ["cookies.txt"]
