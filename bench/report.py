"""Results as JSON files and as tables: on the terminal and in docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from pathlib import Path
from typing import Any

from bench.measure import ROOT, Result
from bench.placement import PLACES
from bench.scenarios import SCENARIOS, Scenario, Target

__all__ = ["describe_machine", "markdown", "record", "save", "table", "write_page"]

RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
SCALE = {"us": 1e6, "ms": 1e3}
NAMES = {"us": "µs", "ms": "ms"}

INTRODUCTION = """\
# Benchmarks

Written by `make bench` (`python -m bench.run`) from the files in `bench/results/`; do not edit by hand.

Every contender runs in a process of its own, all of them in turns (A B C, A B C, …) against the same server on the
loopback interface; figures are medians over the rounds, and a target is judged by the median of the ratios that the
rounds have, since a slow moment of the machine hits those who are measured in it alike. *CPU* is user and system time of
the client's process (an operation waits for the server most of the time: wall time says as much about the server and the
machine). *CPU range* is the lowest and the highest round. *× ours* is the CPU time divided by that of the first of our
doors in the table. Ratios travel from machine to machine, microseconds do not. A library's defaults are kept, `requests`
reading the environment included, unless the table says otherwise. Memory is the growth of the peak of resident memory
during the first operation of a fresh process. Where a section does not say on which CPUs client and server ran, the
scheduler chose.
"""


def describe_machine() -> dict[str, str]:
    """Processor, cores, system and Python, for the tables."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    elif platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        processor = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or processor
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.system()
    return {
        "processor": processor,
        "cores": str(os.cpu_count()),
        "system": f"{system}, {platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def record(scenario: Scenario, results: list[Result], about: dict[str, Any]) -> dict[str, Any]:
    """One scenario's results as they are saved; targets are judged here."""
    return {
        "scenario": scenario.name,
        **about,
        "results": [result.as_dict() for result in results],
        "targets": [judge(target, results) for target in scenario.targets],
    }


def judge(target: Target, results: list[Result]) -> dict[str, Any]:
    """A target beside what was measured; `met` is None when one of the two was not available."""
    by_name = {result.name: result for result in results}
    ours, peer = by_name.get(target.ours), by_name.get(target.peer or target.ours)
    measured: float | None = None
    met: bool | None = None
    if ours and peer and ours.cpu and peer.cpu:
        if target.rate:
            measured = _ratio(peer.wall, ours.wall)
        elif target.peer is None:
            measured = ours.growth
        else:
            measured = _ratio(ours.cpu, peer.cpu)
    if measured is not None:
        met = measured >= target.limit if target.rate else measured <= target.limit
    return {
        "ours": target.ours,
        "peer": target.peer,
        "limit": target.limit,
        "rate": target.rate,
        "measured": measured,
        "met": met,
    }


def _ratio(first: list[float], second: list[float]) -> float:
    """The median of the ratios of the rounds: a slow moment of the machine hits those who are measured in it alike."""
    return round(statistics.median(one / other for one, other in zip(first, second, strict=False)), 3)


def _rows(scenario: Scenario, data: dict[str, Any]) -> list[list[str]]:
    scale, unit = SCALE[scenario.unit], NAMES[scenario.unit]
    digits = 0 if scenario.unit == "us" else 1
    head = ["contender", "version", f"wall {unit}", f"CPU {unit}", "CPU range", "× ours"]
    if scenario.memory:
        head.append("memory growth MB")
    if scenario.rate:
        head.append("a second")
    rows = [head]
    base = next((r for r in data["results"] if r["name"] == scenario.ours and r["cpu"]), None)
    measured = sorted((r for r in data["results"] if r["cpu"]), key=lambda r: statistics.median(r["cpu"]))
    for result in measured:
        wall, cpu = (statistics.median(result[kind]) for kind in ("wall", "cpu"))
        ratio = f"{cpu / statistics.median(base['cpu']):.2f}" if base else "–"
        name = f"**{result['name']}**" if result["ours"] else result["name"]
        spread = f"{min(result['cpu']) * scale:.{digits}f}–{max(result['cpu']) * scale:.{digits}f}"
        row = [name, result["version"] or "", f"{wall * scale:.{digits}f}", f"{cpu * scale:.{digits}f}", spread, ratio]
        if scenario.memory:
            row.append(f"{result['growth'] / 1e6:.1f}")
        if scenario.rate:
            row.append(f"{1 / wall:.0f}")
        rows.append(row)
    return rows


def table(rows: list[list[str]], *, markup: bool = False) -> str:
    """Rows as a Markdown table, columns aligned; the first row is the head. Without `markup`, plain text."""
    if not markup:
        rows = [[cell.replace("**", "") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = [column for column, name in enumerate(rows[0]) if name in ("contender", "version", "ours", "against")]
    edge = ("| ", " | ", " |") if markup else ("  ", "  ", "")
    lines = [
        edge[0]
        + edge[1].join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + edge[2]
        for row in rows
    ]
    if markup:
        rule = ["-" * width if column in left else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
        lines.insert(1, f"| {' | '.join(rule)} |")
    return "\n".join(line.rstrip() for line in lines)


def _target_rows(data: dict[str, Any]) -> list[list[str]]:
    rows = [["ours", "against", "target", "measured", "verdict"]]
    for target in data["targets"]:
        bytes_of = target["peer"] is None
        show = (lambda value: f"{value / 1e6:.1f} MB") if bytes_of else (lambda value: f"{value:.2f}")
        measured = "–" if target["measured"] is None else show(target["measured"])
        verdict = {True: "met", False: "missed", None: "not measured"}[target["met"]]
        against = "memory growth" if bytes_of else target["peer"]
        rate = target.get("rate")  # not in results of before there were such targets
        limit = f"{'≥' if rate else '≤'} {show(target['limit'])}{' a second' if rate else ''}"
        rows.append([target["ours"], against, limit, measured, verdict])
    return rows


def markdown(scenario: Scenario, data: dict[str, Any], *, markup: bool = True) -> str:
    """The section of one scenario."""
    machine = data["machine"]
    parts = [f"{'## ' if markup else ''}{scenario.title}", scenario.about]
    parts.append(table(_rows(scenario, data), markup=markup))
    if data["targets"]:
        parts.append(table(_target_rows(data), markup=markup))
    missing = [f"{r['name']}: {r['unavailable']}" for r in data["results"] if r["unavailable"]]
    if missing:
        parts.append("Not available: " + "; ".join(missing) + ".")
    place = data.get("place", "")  # not in results of before there were such places
    if markup:
        parts.append(
            f"{data['date']}, {data['rounds']} rounds of {data['count']}, server: {data['server']}; "
            f"{PLACES[place] + '; ' if place else ''}"
            f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, {machine['python']}."
        )
    return "\n\n".join(parts) + "\n"


def save(data: dict[str, Any]) -> None:
    """Write one scenario's results file."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / f"{data['scenario']}.json").write_text(text, encoding="utf-8")


def write_page() -> None:
    """Render docs/benchmarks.md from every results file there is."""
    sections = [INTRODUCTION]
    for scenario in SCENARIOS:
        path = RESULTS / f"{scenario.name}.json"
        if path.exists():
            sections.append(markdown(scenario, json.loads(path.read_text(encoding="utf-8"))))
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join(sections), encoding="utf-8")
