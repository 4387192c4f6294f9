"""The benchmarks' command: `python -m bench.run [--only NAME] [--rounds N] [--quick] [--json]`.

A full run writes `bench/results/*.json` and `docs/benchmarks.md`; with `--only` it replaces those scenarios alone; with
`--quick` (few and short rounds, for a look while working) nothing is written.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.measure import measure_imports, measure_work
from bench.placement import placed
from bench.report import describe_machine, markdown, record, save, write_page
from bench.scenarios import SCENARIOS, Scenario
from bench.server import Served, serving
from tests.support.peers import PeerError

__all__ = ["main"]

ROUNDS, QUICK_ROUNDS = 9, 3


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__, add_help=True)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--rounds", type=int, help=f"turns of every contender (default {ROUNDS}, quick {QUICK_ROUNDS})")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="few and short rounds; writes nothing")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of tables")
    return parser.parse_args(given)


def run_scenario(scenario: Scenario, served: Served, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one scenario and return its record."""
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    count = scenario.quick_count if options.quick else scenario.count
    place = ""
    if scenario.work == "import":
        results = measure_imports(rounds * count)
    else:
        with placed(scenario.cpus, served.processes) as (place, cpus):
            results = measure_work(scenario, served.job_for(scenario), rounds, count, cpus)
    about = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": describe_machine(),
        "server": served.websocket_name if scenario.websocket else served.name,
        "place": place,
        "rounds": rounds,
        "count": count,
    }
    return record(scenario, results, about)


def main(given: list[str] | None = None) -> int:
    """Run the benchmarks; the exit status is 1 when one of our own doors could not be measured."""
    options = arguments(given)
    chosen = [scenario for scenario in SCENARIOS if not options.only or scenario.name in options.only]
    records = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            with serving(Path(folder)) as served:
                print(f"server: {served.name}", file=sys.stderr)
                for scenario in chosen:
                    data = run_scenario(scenario, served, options)
                    records.append(data)
                    if not options.json:
                        print(f"\n{markdown(scenario, data, markup=False)}", flush=True)
                    if not options.quick:
                        save(data)
        except PeerError as error:
            print(error, file=sys.stderr)
            return 2
    if options.json:
        json.dump(records, sys.stdout, indent=1, ensure_ascii=False)
    if not options.quick:
        write_page()
    return int(any(result["ours"] and result["unavailable"] for data in records for result in data["results"]))


if __name__ == "__main__":
    sys.exit(main())
