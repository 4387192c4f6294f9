"""Widely used programs as they are: with the engine they print the same and the server sees the same requests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.compat.requests_api.support import Recorder, answer
from tests.support.servers import RawServer

# What a program does with http.client, which urllib3's pools use too, goes to a file.
WATCH = """
import os, sys

def note(event, arguments):
    if event.startswith("http.client."):
        with open(os.environ["FALLEN_BACK"], "a") as file:
            file.write(f"{event} {arguments[1:]}\\n")

sys.addaudithook(note)
"""
FEED = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>News</title><link>http://a.test/</link>
<item><title>One</title><link>http://a.test/1</link></item></channel></rss>"""
TABLE = ".. csv-table:: Figures\n   :url: {url}/figures.csv\n"
READ_FEED = """
import sys, feedparser
found = feedparser.parse(sys.argv[1], etag="x", request_headers={"X-A": "1"})
print(found.status, found.feed.title, [entry.link for entry in found.entries], found.href, sorted(found.headers))
"""
READ_GRAPH = """
import sys, rdflib
print(list(rdflib.Graph().parse(sys.argv[1])))
"""
USE_GITLAB = """
import sys, gitlab
client = gitlab.Gitlab(sys.argv[1], private_token="secret")
for project in client.projects.list(iterator=True, search="a b"):
    print(project.id, project.name)
print(client.projects.create({"name": "new"}).id)
try:
    client.projects.get(5)
except gitlab.GitlabGetError as error:
    print(error.response_code, error)
"""


class Program(NamedTuple):
    """A program.

    Attributes:
        package: what must be installed for it.
        words: its command line; `{url}` is the server's.
        answers: of the server.
        files: written into its folder first.
    """

    package: str
    words: list[str]
    answers: list[bytes]
    files: dict[str, str]


def json_answer(content: object, *fields: str, status: str = "200 OK") -> bytes:
    return answer(json.dumps(content).encode(), "Content-Type: application/json", *fields, status=status)


PROGRAMS = {
    "httpie": Program(
        "httpie",
        ["-m", "httpie", "--ignore-stdin", "--print=HBhb", "--follow", "POST", "{url}/x", "a==1 2", "X-B:v", "c=d"],
        [answer(b"", "Location: /y", status="307 Temporary Redirect"), json_answer({"b": 1, "a": "ü"})],
        {},
    ),
    "gitlab": Program(
        "gitlab",
        ["program.py", "{url}"],
        [
            json_answer([{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]),
            json_answer({"id": 3}, status="201 Created"),
            json_answer({"message": "404 Not Found"}, status="404 Not Found"),
        ],
        {"program.py": USE_GITLAB},
    ),
    "cachecontrol": Program(
        "cachecontrol",
        ["-m", "cachecontrol._cmd", "{url}/page"],
        [
            answer(
                b"content",
                "Cache-Control: max-age=600",
                f"Date: {formatdate(time.time() + 3600, usegmt=True)}",
                'ETag: "e"',
            )
        ],
        {},
    ),
    "feedparser": Program(
        "feedparser",
        ["program.py", "{url}/feed"],
        [
            answer(b"", "Location: /moved", status="301 Moved Permanently"),
            answer(FEED, "Content-Type: application/rss+xml", 'ETag: "y"'),
        ],
        {"program.py": READ_FEED},
    ),
    "docutils": Program(
        "docutils",
        ["-m", "docutils", "--writer=pseudoxml", "table.rst"],
        [answer(b"a,b\r\n1,2\r\n", "Content-Type: text/csv; charset=utf-8")],
        {"table.rst": TABLE},
    ),
    "rdflib": Program(
        "rdflib",
        ["program.py", "{url}/graph"],
        [
            answer(b"", "Location: /graph.ttl", status="303 See Other"),
            answer(b"<http://a.test/> <http://b.test/> 1 .", "Content-Type: text/turtle"),
        ],
        {"program.py": READ_GRAPH},
    ),
}


def outcome(program: Program, folder: Path, prefix: list[str]) -> tuple[dict[str, object], list[str], str]:
    """Run it; returns what it did, the heads the server saw, and what http.client was used for."""
    work = folder / "work"
    work.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(WATCH)
    note = folder / "fallen_back"
    note.touch()
    recorder = Recorder(*program.answers)
    with RawServer(recorder) as server:
        for name, text in program.files.items():
            (work / name).write_text(text.replace("{url}", server.url))
        ran = subprocess.run(
            [sys.executable, *prefix, *(word.replace("{url}", server.url) for word in program.words)],
            cwd=work,
            env={**os.environ, "PYTHONPATH": str(folder), "FALLEN_BACK": str(note), "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def neutral(text: str) -> str:
        text = re.sub(rf"(127\.0\.0\.1|localhost):{server.port}", "SERVER", text)
        return text.replace(str(folder), "FOLDER")

    files = {path.name: path.read_bytes() for path in work.iterdir() if path.name not in program.files}
    did: dict[str, object] = {"status": ran.returncode, "output": neutral(ran.stdout), "files": files}
    did["errors"] = neutral(ran.stderr)
    # The original cannot keep a connection, and says so.
    heads = [neutral(head.decode("latin-1")).replace("Connection: close\r\n", "") for head in recorder.heads]
    return did, heads, note.read_text()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_does_the_same_on_the_engine(name: str, tmp_path: Path) -> None:
    program = PROGRAMS[name]
    did, heads, used = outcome(program, tmp_path / "original", [])
    assert did["status"] == 0, did
    assert "http.client.connect" in used
    ours, our_heads, used = outcome(program, tmp_path / "engine", ["-m", "drivetrain.compat", "run"])
    assert ours == did
    assert our_heads == heads
    assert used == ""
