"""`make bench`: the speed promises, measured on lab hosts of this machine, all in one run.

It judges and never fails for being slow: a timed test on a busy machine would be a coin toss.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "collections")]

from bench import deploy, measure, report, scale
from lab import hosts, mirror, peers
from lab.common import LabError, say

PARTS = (
    *("one_host", "whole_site", "fleet", "simulated_hosts", "simulated_site"),
    *("target_health", "scrape_configuration", "large_inventory", "large_server"),
)
DOCUMENT = ROOT / "docs" / "benchmarks.md"
# The figures of the document as data, so that one part can be measured anew.
FIGURES = ROOT / "docs" / "benchmarks.json"
RESULT = ROOT / "build" / "bench.json"


def main(argv: list[str] | None = None) -> int:
    """Measure what is asked for; print it, and keep it in build/bench.json."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(PARTS)}; default: all")
    parser.add_argument("--peer", metavar="DIR", help="folder with ansible_collections/prometheus/prometheus")
    parser.add_argument("--rounds", type=int, default=3, help="how often each run is measured; medians count")
    parser.add_argument("--fleet", type=int, default=20, help="number of hosts of the fleet")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md, too")
    options = parser.parse_args(argv)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    try:
        found = collect(options)
    except LabError as error:
        say(str(error))
        return 1
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    text = report.tables(found)
    print(text, flush=True)
    if options.write:
        known = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
        kept = {part: (known | found)[part] for part in PARTS if part in known | found}
        FIGURES.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        report.write(DOCUMENT, report.tables(kept))
    say(f"the same as data: {RESULT.relative_to(ROOT)}")
    return 0


def collect(options: argparse.Namespace) -> dict:
    """Measure; returns everything that was found, by part."""
    parts = options.parts or PARTS
    compared = {"one_host", "fleet"} & set(parts)
    peer = peers.find(options.peer) if compared else None
    machine = {"measured": datetime.date.today().isoformat(), **measure.machine()}
    releases = mirror.versions()
    machine["releases"] = ", ".join(f"{name} {ages['new']}" for name, ages in releases.items() if ages["new"])
    if peer:
        machine[peers.PEER] = peer.version
    found = {}
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as name, mirror.serve(hosts.gateway()) as server:
        folder = Path(name)
        if "one_host" in parts:
            found["one_host"] = deploy.one_host(folder, server.url, peer, options.rounds)
        if "whole_site" in parts:
            found["whole_site"] = deploy.whole_site(folder, server.url, options.rounds)
        if "fleet" in parts:
            found["fleet"] = deploy.fleet(folder, server.url, peer, options.rounds, options.fleet)
        if "simulated_hosts" in parts:
            with deploy.booted(1) as (host,):
                sizes = scale.simulated_hosts(folder, server.url, host, (1, 10, 50, 100), options.rounds)
                found["simulated_hosts"] = {"sizes": sizes}
        if "simulated_site" in parts:
            with deploy.booted(2) as pair:
                sizes = scale.simulated_site(folder, server.url, pair, (1, 10, 100, 300))
                found["simulated_site"] = {"sizes": sizes}
        if "target_health" in parts:
            found["target_health"] = {"sizes": scale.target_health(folder, (100, 1_000, 10_000, 100_000))}
        if "scrape_configuration" in parts:
            with deploy.booted(1) as (host,):
                found["scrape_configuration"] = scale.scrape_configuration(folder, server.url, host, 10_000)
        if "large_inventory" in parts:
            with deploy.booted(1) as (host,):
                found["large_inventory"] = scale.large_inventory(folder, server.url, host, 300, 60)
        if "large_server" in parts:
            with deploy.booted(1) as (host,):
                found["large_server"] = scale.large_server(folder, server.url, host, options.rounds, 2_000, 100, 50_000)
    hosts.down(deploy.GROUP, [])
    for part in found.values():
        part["machine"] = machine
    return found


if __name__ == "__main__":
    sys.exit(main())
