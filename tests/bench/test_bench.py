"""The benchmarks' own arithmetic and wiring: ratios, verdicts, tables, and a contender driven through its process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from bench.child import reason
from bench.contenders import CONTENDERS, Contender
from bench.job import Job
from bench.measure import Child, Result, measure_imports
from bench.placement import placed
from bench.report import describe_machine, judge, markdown, record, table
from bench.run import arguments
from bench.scenarios import SCENARIOS, Scenario, Target
from bench.server import Served
from tests.house.tree import ROOT
from tests.support.certificates import Certificates
from tests.support.h2_server import H2Server
from tests.support.servers import RawServer, read_head

SCENARIO = Scenario(
    "sample",
    "Sample",
    "About it.",
    "small_get",
    ("sync",),
    ours="ours",
    memory=True,
    targets=(Target("ours", "peer", 0.5), Target("ours", None, 1e6), Target("ours", "gone", 1.0)),
)
RATES = Scenario(
    "rates",
    "Rates",
    "",
    "x",
    ("sync",),
    ours="ours",
    rate=True,
    targets=(
        Target("ours", "peer", 3.0, rate=True),
        Target("ours", "peer", 6.0, rate=True),
        Target("ours", "gone", 1.0, rate=True),
    ),
)
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are put on CPUs there only")
ABOUT = {"date": "2026-01-01", "machine": describe_machine(), "server": "s/1", "rounds": 3, "count": 1}


def results() -> list[Result]:
    ours = Result("ours", True, "0.1", wall=[3e-4, 1e-4, 2e-4], cpu=[1e-4, 2e-4, 3e-4], growth=2_000_000)
    peer = Result("peer", False, "2.0", wall=[1e-3] * 3, cpu=[5e-4, 5e-4, 1e-3], growth=100_000)
    return [ours, peer, Result("gone", False, unavailable="ImportError: no such thing")]


def test_targets_are_judged_by_the_median_of_the_rounds_ratios() -> None:
    verdicts = [judge(target, results()) for target in SCENARIO.targets]
    # A slow round of both, and one of the peer alone, say nothing.
    assert [(v["measured"], v["met"]) for v in verdicts] == [(0.3, True), (2_000_000, False), (None, None)]


def test_the_tables_show_medians_ratios_and_what_is_missing() -> None:
    data = json.loads(json.dumps(record(SCENARIO, results(), ABOUT)))
    text = markdown(SCENARIO, data)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert ["**ours**", "0.1", "200", "200", "100–300", "1.00", "2.0"] in rows
    assert ["peer", "2.0", "1000", "500", "500–1000", "2.50", "0.1"] in rows
    assert ["ours", "peer", "≤ 0.50", "0.30", "met"] in rows
    assert ["ours", "memory growth", "≤ 1.0 MB", "2.0 MB", "missed"] in rows
    assert ["ours", "gone", "≤ 1.00", "–", "not measured"] in rows
    assert "Not available: gone: ImportError: no such thing." in text


def test_targets_of_operations_a_second_are_judged_by_wall_time() -> None:
    data = json.loads(json.dumps(record(RATES, results(), ABOUT)))
    assert [(v["measured"], v["met"]) for v in data["targets"]] == [(5.0, True), (5.0, False), (None, None)]
    text = markdown(RATES, data)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert ["**ours**", "0.1", "200", "200", "100–300", "1.00", "5000"] in rows
    assert ["ours", "peer", "≥ 3.00 a second", "5.00", "met"] in rows
    assert ["ours", "peer", "≥ 6.00 a second", "5.00", "missed"] in rows


def test_results_of_before_there_were_rates_are_shown() -> None:
    data = json.loads(json.dumps(record(SCENARIO, results(), ABOUT)))
    for target in data["targets"]:
        del target["rate"]
    assert "≤ 0.50" in markdown(SCENARIO, data)


def test_a_plain_table_is_aligned_and_without_markup() -> None:
    assert table([["contender", "n"], ["**a**", "10"]]) == "  contender   n\n  a          10"


def test_a_reason_holds_no_path_of_the_machine() -> None:
    error = ImportError("cannot import name 'X' from 'y' (/somewhere/y.py)")
    assert reason(error) == "ImportError: cannot import name 'X' from 'y'"
    assert len(reason(ValueError("x" * 500))) == 160


def test_every_contender_has_its_module_and_targets_name_contenders() -> None:
    folder = ROOT / "bench" / "contenders"
    assert [c.module for c in CONTENDERS if not (folder / f"{c.module}.py").is_file()] == []
    names = {contender.name for contender in CONTENDERS}
    wanted = {name for s in SCENARIOS for t in s.targets for name in (s.ours, t.ours, t.peer) if name}
    assert wanted <= names


def test_arguments() -> None:
    options = arguments(["--only", "import", "--rounds", "2", "--quick"])
    assert (options.only, options.rounds, options.quick, options.json) == (["import"], 2, True, False)
    with pytest.raises(SystemExit):
        arguments(["--only", "nothing"])


def job_at(server: RawServer, size: int) -> Job:
    host, port = server.address
    return Job("small_get", f"{server.url}/x", host, port, "/x", "", size)


def serve(connection: socket.socket) -> None:
    while read_head(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


def contender(name: str) -> Contender:
    return next(c for c in CONTENDERS if c.module == name)


@pytest.mark.parametrize("name", ["raw_sockets", "http_client", "raw_asyncio"])
def test_a_child_measures(name: str) -> None:
    with RawServer(serve) as server, Child(contender(name), job_at(server, 5), 2) as child:
        child.round(3)
        child.round(3)
    assert child.result.unavailable is None
    assert len(child.result.wall) == len(child.result.cpu) == 2
    assert all(0 < value < 5 for value in child.result.wall)


def serve_h2(connection: socket.socket) -> None:
    library = H2Connection(H2Configuration(client_side=False))
    library.initiate_connection()
    connection.sendall(library.data_to_send())
    while data := connection.recv(65536):
        for event in library.receive_data(data):
            if isinstance(event, RequestReceived):
                library.send_headers(event.stream_id, [(":status", "200"), ("content-length", "5")])
                library.send_data(event.stream_id, b"hello", end_stream=True)
        connection.sendall(library.data_to_send())


@pytest.mark.parametrize(
    ("name", "work"),
    [
        ("raw_h2", "h2_get"),
        ("raw_h2_loop", "h2_many"),
        ("native_sync", "h2_threads"),
        ("native_async", "h2_many"),
        ("adapter_requests", "h2_threads"),
    ],
)
def test_a_child_measures_several_at_a_time_over_one_http2_connection(
    name: str, work: str, certificates: Certificates
) -> None:
    concurrency = 1 if work == "h2_get" else 4
    with RawServer(serve_h2) as server:
        ca_file = str(certificates.ca_file)
        job = replace(job_at(server, 5), work=work, http2=True, concurrency=concurrency, ca_file=ca_file)
        with Child(contender(name), job, 9) as child:
            child.round(10)
        assert child.result.unavailable is None
        assert len(child.result.wall) == 1
        assert server.connections == 1


@pytest.mark.parametrize(
    ("name", "connections"),
    [("installed_requests", 1), ("module_requests", 1), ("requests_session", 4), ("requests_large_pool", 4)],
)
def test_a_child_measures_a_session_of_several_threads(name: str, connections: int, certificates: Certificates) -> None:
    context = certificates.server_context(["h2", "http/1.1"])
    with H2Server(lambda exchange: exchange.respond(200, b"hello"), context=context, fallback=serve) as server:
        job = Job(
            "session_threads",
            f"{server.url}/x",
            "localhost",
            server.port,
            "/x",
            str(certificates.ca_file),
            5,
            "",
            4,
            True,
        )
        with Child(contender(name), job, 9) as child:
            child.round(40)
        assert child.result.unavailable is None
        assert len(child.result.wall) == 1
        assert 1 <= server.connections <= connections


def test_http2_is_asked_for_on_ports_of_its_own() -> None:
    served = Served("s", 1, 2, 3, 4, Path("ca.pem"), Path("file"), 5)
    over_http = [scenario for scenario in SCENARIOS if scenario.work != "import" and not scenario.websocket]
    jobs = {scenario.name: served.job_for(scenario) for scenario in over_http}
    assert {(job.http2, job.tls): job.port for job in jobs.values()} == {
        (False, False): 1,
        (False, True): 2,
        (True, False): 3,
        (True, True): 4,
    }
    assert jobs["h2_upload"].url == "https://localhost:4/upload"
    assert jobs["h2_get"].url == "http://127.0.0.1:3/small"
    assert jobs["download"].target == jobs["h2_download"].target == "/large"


def test_a_body_of_another_length_is_not_measured() -> None:
    with RawServer(serve) as server, Child(contender("http_client"), job_at(server, 6), 2) as child:
        child.round(3)
    assert "5 bytes moved instead of 6" in (child.result.unavailable or "")
    assert child.result.wall == []


def test_a_contender_that_cannot_be_imported_is_told_and_does_not_stop_the_run() -> None:
    missing = Contender("missing", "no_such_module", "sync")
    with Child(missing, Job("small_get", "", "", 0, "", "", 0), 1) as child:
        child.round(1)
    assert "ModuleNotFoundError" in (child.result.unavailable or "")


def test_a_missing_environment_is_told() -> None:
    with Child(Contender("x", "x", "sync", environment="no-such-folder"), Job("", "", "", 0, "", "", 0), 1) as child:
        assert child.result.unavailable == "no-such-folder was not made (make bench does)"


@ON_LINUX
def test_a_child_runs_where_it_is_put() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    with RawServer(serve) as server, Child(contender("http_client"), job_at(server, 5), 1, {allowed[-1]}) as child:
        assert child._process is not None
        assert os.sched_getaffinity(child._process.pid) == {allowed[-1]}


@pytest.fixture
def sleepers() -> Iterator[list[int]]:
    """A process, and the one that it has started."""
    command = "import subprocess, sys; p = subprocess.Popen(['cat']); print(p.pid, flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", command], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield [process.pid, int(process.stdout.readline())]
        process.stdin.close()


@ON_LINUX
@pytest.mark.parametrize("cpus", ["one", "two"])
def test_servers_are_kept_in_their_place_for_a_time(sleepers: list[int], cpus: str) -> None:
    anywhere = os.sched_getaffinity(0)
    with placed(cpus, sleepers[:1]) as (place, client):
        servers = [os.sched_getaffinity(pid) for pid in sleepers]
        assert servers[0] == servers[1]
        if cpus == "one" or len(anywhere) > 1:
            assert place == cpus
            assert client is not None
            assert len(client) == len(servers[0]) == 1
            assert (client == servers[0]) is (cpus == "one")
    assert [os.sched_getaffinity(pid) for pid in sleepers] == [anywhere] * 2


@ON_LINUX
def test_a_place_that_there_is_not_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with placed("two", []) as found:
        assert found == ("", None)
    with placed("", []) as found:
        assert found == ("", None)


def test_the_place_is_told() -> None:
    data = json.loads(json.dumps(record(SCENARIO, results(), {**ABOUT, "place": "one"})))
    assert "server: s/1; client and server on one CPU; " in markdown(SCENARIO, data)


def test_imports_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = (Contender("json", "x", "sync", imports="json"), Contender("none", "x", "sync", imports="no_such_module"))
    monkeypatch.setattr("bench.measure.CONTENDERS", chosen)
    found = measure_imports(1)
    assert len(found[0].cpu) == 1
    assert found[1].unavailable == "`import no_such_module` failed"


def test_websockets_have_a_server_of_their_own() -> None:
    served = Served("s", 1, 2, 3, 4, Path("ca.pem"), Path("file"), 5)
    job = served.job_for(next(scenario for scenario in SCENARIOS if scenario.name == "ws_echo_100_deflate"))
    assert (job.work, job.url, job.target, job.size, job.compression) == (
        "ws_echo",
        "ws://127.0.0.1:5/",
        "/",
        100,
        True,
    )


def test_who_speaks_websocket_takes_part_there_only() -> None:
    speaking = {contender.module for contender in CONTENDERS if contender.websocket}
    assert {module for module in speaking if not module.startswith("ws_")} == set()
    assert {"ws_api", "ws_api_async", "ws_bare", "ws_websockets", "ws_websockets_async"} <= speaking
