"""`drivetrain run` and `python -m drivetrain.compat run`: programs as they are, on the engine."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivetrain.compat.running import main
from tests.compat.requests_api.support import OK, Recorder, answer
from tests.support.certificates import Certificates
from tests.support.h2_server import H2Server
from tests.support.servers import RawServer

PROGRAM = """
    import sys, urllib.request, requests

    fallen_back = []
    sys.addaudithook(lambda event, _: fallen_back.append(event) if event.startswith("http.client.connect") else None)
    with requests.Session() as session:
        texts = [session.get(sys.argv[1]).text for _ in range(3)]
    texts += [urllib.request.urlopen(sys.argv[1]).read().decode() for _ in range(2)]
    print(*texts, len(fallen_back), __name__, sys.argv[2:])
"""
# Where it does not matter what is installed: importing requests takes its time.
LIGHT = ["--only", "urllib"]


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(Recorder(OK)) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path


def write(path: Path, program: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(program), encoding="utf-8")
    return path


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it in the folder `work`."""
    command = [sys.executable, "-m", "drivetrain.compat", "run", *map(str, words)]
    return subprocess.run(command, cwd=folder / "work", capture_output=True, text=True, timeout=60, check=False)


def test_a_script(folder: Path, server: RawServer) -> None:
    script = write(folder / "script.py", PROGRAM)
    ran = run(folder, script, server.url, "-m", "--only", "x")
    assert (ran.stdout, ran.stderr) == ("ok ok ok ok ok 0 __main__ ['-m', '--only', 'x']\n", "")
    assert ran.returncode == 0
    assert server.connections == 2


def test_a_module(folder: Path, server: RawServer) -> None:
    write(folder / "work" / "package" / "__init__.py", "")
    write(folder / "work" / "package" / "__main__.py", PROGRAM)
    write(folder / "work" / "single.py", PROGRAM)
    for name in ("package", "single", "package.__main__"):
        ran = run(folder, "-m", name, server.url, "--http1")
        assert (ran.stdout, ran.stderr) == ("ok ok ok ok ok 0 __main__ ['--http1']\n", "")


def test_one_face_only(folder: Path, server: RawServer) -> None:
    script = write(folder / "script.py", PROGRAM)
    assert run(folder, "--only", "requests", script, server.url).stdout == "ok ok ok ok ok 2 __main__ []\n"
    assert run(folder, "--only", "urllib", script, server.url).stdout == "ok ok ok ok ok 1 __main__ []\n"


def test_options(folder: Path, server: RawServer) -> None:
    script = write(folder / "script.py", PROGRAM)
    ran = run(folder, "--only=requests,urllib", "--http1", "--hsts", "--", script, server.url)
    assert (ran.stdout, ran.stderr) == ("ok ok ok ok ok 0 __main__ []\n", "")


def test_the_report(folder: Path, server: RawServer) -> None:
    program = PROGRAM + "    import atexit; atexit.register(lambda: requests.get(sys.argv[1]))\n"
    script = write(folder / "script.py", program + "    requests.get('http://127.0.0.1:1/')\n")
    ran = run(folder, "--report", script, server.url)
    assert ran.returncode == 1
    lines = ran.stderr.splitlines()
    lines = lines[lines.index("drivetrain: through the engine: requests, urllib") :]
    assert "drivetrain: 6 answers, 1 requests without one" in lines
    assert "drivetrain: 3 connections opened, 3 requests on one that was there" in lines
    assert "drivetrain: HTTP/1.1: 6" in lines
    assert re.fullmatch(r"drivetrain: about \d+\.\d{3} s saved that opening a connection for each would .*", lines[-1])


def test_what_went_past_the_engine(folder: Path, server: RawServer) -> None:
    script = write(folder / "script.py", PROGRAM)
    lines = run(folder, "--only", "urllib", "--report", script, server.url).stderr.splitlines()
    assert "drivetrain: through the engine: urllib" in lines
    assert "drivetrain: 2 answers, 0 requests without one" in lines
    assert lines[-1] == f"drivetrain: 1 connections went past the engine, to 127.0.0.1:{server.port}"
    lines = run(folder, "--report", script, server.url).stderr.splitlines()
    assert "drivetrain: 5 answers, 0 requests without one" in lines
    assert not [line for line in lines if "went past" in line]


WEBSOCKET = """
    import sys, threading
    from drivetrain.compat.websockets_api.sync.client import connect
    from drivetrain.compat.websockets_api.sync.server import serve

    with serve(lambda connection: connection.send(connection.recv()), "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever).start()
        for _ in range(2):
            with connect(f"ws://127.0.0.1:{server.socket.getsockname()[1]}") as websocket:
                websocket.send("x")
                assert websocket.recv() == "x"
        server.shutdown()
"""


def test_websockets_are_counted(folder: Path) -> None:
    ran = run(folder, "--report", write(folder / "script.py", WEBSOCKET))
    assert ran.returncode == 0, ran.stderr
    assert "drivetrain: 2 WebSockets opened" in ran.stderr.splitlines()


SECURE = """
    import sys, requests

    session = requests.Session()
    session.verify = sys.argv[2]
    for url in sys.argv[3:]:
        print(session.get(url).url)
    response = session.get(sys.argv[1])
    print(response.raw.version)
"""


def test_http1(folder: Path, certificates: Certificates) -> None:
    script = write(folder / "script.py", SECURE)
    context = certificates.server_context(["h2", "http/1.1"])
    with H2Server(context=context, fallback=Recorder(OK)) as server:
        for options, version, name in (([], 20, "HTTP/2: 1"), (["--http1"], 11, "HTTP/1.1: 1")):
            ran = run(folder, *options, "--report", script, f"{server.url}/x", certificates.ca_file)
            assert ran.stdout == f"{version}\n"
            assert f"drivetrain: {name}" in ran.stderr.splitlines()


def test_hsts(folder: Path, certificates: Certificates) -> None:
    script = write(folder / "script.py", SECURE)
    recorder = Recorder(answer(b"ok", "Strict-Transport-Security: max-age=1000"))
    with RawServer(recorder, context=certificates.server_context(), tolerate=(OSError,)) as server:
        secure = f"https://localhost:{server.port}/"
        plain = secure.replace("https", "http")
        ran = run(folder, "--hsts", script, secure, certificates.ca_file, secure, plain)
        assert ran.stdout == f"{secure}\n{secure}\n11\n"
        ran = run(folder, script, secure, certificates.ca_file, secure, plain)
        assert ran.returncode == 1
        assert "ConnectionError" in ran.stderr


def facts(python: list[str], folder: Path, words: list[str]) -> tuple[int, str]:
    ran = subprocess.run(
        [sys.executable, *python, *words], cwd=folder / "work", capture_output=True, text=True, timeout=60, check=False
    )
    return ran.returncode, ran.stdout


FACTS = """
    import atexit, pickle, sys, threading

    class Thing: ...

    main = sys.modules["__main__"]
    print(__name__, __file__, __package__, __spec__ and __spec__.name, sys.argv, sys.path[0], main.Thing is Thing)
    print(sorted(name for name in globals() if name != "__annotations__"))
    atexit.register(lambda: print(type(pickle.loads(pickle.dumps(Thing()))) is Thing))
    threading.Thread(target=lambda: (threading.main_thread().join(), print(sys.modules["__main__"] is main))).start()
    sys.exit(7)
"""


def test_the_program_sees_what_it_sees_without_us(folder: Path) -> None:
    write(folder / "script.py", FACTS)
    write(folder / "work" / "package" / "__init__.py", "")
    write(folder / "work" / "package" / "__main__.py", FACTS)
    write(folder / "work" / "single.py", FACTS)
    for words in (["../script.py", "a", "-b"], ["-m", "single", "--x"], ["-m", "package"]):
        status, output = facts([], folder, words)
        assert status == 7
        assert facts(["-m", "drivetrain.compat", "run", *LIGHT], folder, words) == (status, output)


def test_folders_and_archives(folder: Path) -> None:
    program = "import sys, other; print(other.NAME, sys.argv[1:], __name__)"
    write(folder / "app" / "__main__.py", program)
    write(folder / "app" / "other.py", "NAME = 'other'")
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        archive.writestr("__main__.py", program)
        archive.writestr("other.py", "NAME = 'other'")
    for name in ("app", "app.zip"):
        assert run(folder, *LIGHT, f"../{name}", "a").stdout == "other ['a'] __main__\n"


def test_an_error_of_the_program_is_shown_as_without_us(folder: Path) -> None:
    script = write(folder / "script.py", "def f():\n    raise ValueError('fault')\n\n\nf()\n")
    bare = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    ran = run(folder, *LIGHT, script)
    assert (ran.returncode, ran.stderr) == (bare.returncode, bare.stderr)
    script = write(folder / "broken.py", "def f(:\n")
    assert "SyntaxError" in run(folder, *LIGHT, script).stderr
    script = write(folder / "words.py", "raise SystemExit('ended')")
    ran = run(folder, *LIGHT, script)
    assert (ran.returncode, ran.stderr) == (1, "ended\n")


def test_what_cannot_be_run(folder: Path) -> None:
    ran = run(folder, *LIGHT, "nothing.py")
    assert (ran.returncode, ran.stderr) == (2, "drivetrain run: cannot open 'nothing.py': No such file or directory\n")
    ran = run(folder, *LIGHT, "-m", "no_such_module")
    assert (ran.returncode, ran.stderr) == (1, "drivetrain run: no module named 'no_such_module' that can be run\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "no program"),
        (["run", "-m"], "no program"),
        (["run", "--wrong", "script.py"], "unrecognized arguments: --wrong"),
        (["run", "--only", "http", "script.py"], "cannot install 'http'"),
    ],
)
def test_wrong_words(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: drivetrain run")
    assert main(["walk"]) == 2
    assert capsys.readouterr().err.startswith("usage: drivetrain run")
    with pytest.raises(SystemExit) as caught:
        main(["run", "--help"])
    assert caught.value.code == 0
    assert "--report" in capsys.readouterr().out
