"""The figures as tables: the same text for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path

BEGIN = "<!-- figures: written by make bench BENCH=--write -->"
END = "<!-- end of the figures -->"
RATIOS = {"first": 5, "converged": 20, "fleet": 16}
# The same of site.yml, whose verification the peer does not have.
SITE_RATIOS = {"first": 3, "converged": 15}
# A converged run of everything on one host, and how much longer containers may take than systemd services.
SITE_SECONDS = 12
DOCKER_RATIO = 1.5
# And how much longer the same takes where monitoring_tls is on.
TLS_RATIO = 1.15
# One Prometheus with many rule files, jobs and discovered targets: a converged run, and one that changes a file, without what promtool
# and Prometheus themselves take for it.
LARGE_SECONDS = {"converged": 8, "changed": 12}
FEW_HOSTS = 10
HEALTH_SECONDS = 2
HEALTH_TARGETS = 10_000
CONFIGURATION_SECONDS = 6
INVENTORY_SECONDS = 8
_HOLDS = (
    "Prometheus then has {series:,} series in {memory_mib:,} MiB of memory, and takes {cpu_share:.2f} of one processor for"
    " {scrapes:.0f} scrapes, {samples:,.0f} samples and {evaluations:.0f} rules a second."
)
# The kinds of runs, and what the tables call them.
_KINDS = {"first": "first", "converged": "converged", "no_bytecode": "converged, without bytecode"}
# Straight lines on a machine that does other things as well.
LINEAR = 1.3


def ratio(part: dict, kind: str, who: str = "roles") -> float | None:
    """How many times faster our roles, or site.yml, are than the peer's roles."""
    found = part.get(kind, {})
    return found["peer"]["seconds"] / found[who]["seconds"] if "peer" in found else None


def growth(rows: list[dict], key: str) -> float:
    """How much more the largest number of targets costs than its share of the second largest; 1 is linear.

    What no target costs, the start of Python foremost, is taken off both: the cost of the smallest number.
    """
    least, second, most = rows[0], rows[-2], rows[-1]
    share = (most["targets"] - least["targets"]) / (second["targets"] - least["targets"])
    return (most[key] - least[key]) / (second[key] - least[key]) / share


def growth_of_hosts(rows: list[dict]) -> float:
    """How much more CPU time the most hosts take than the share of those few would be; 1 is linear.

    What a run takes without a host, the start of Ansible foremost, is taken off both: by what a host takes between one and few.
    """
    one, few, most = (next(row for row in rows if row["hosts"] == size) for size in (1, FEW_HOSTS, rows[-1]["hosts"]))
    each = (few["cpu"] - one["cpu"]) / (few["hosts"] - one["hosts"])
    start = one["cpu"] - each
    return (most["cpu"] - start) / (few["cpu"] - start) / (most["hosts"] / few["hosts"])


def promises(found: dict) -> list[tuple[str, str, str, bool | None]]:
    """What was promised: (what, how much, how much it is, whether it is kept or None when that is not known)."""
    return [*_of_deployments(found), *_of_sizes(found)]


def _ratio_row(what: str, value: float | None, least: float) -> tuple[str, str, str, bool | None]:
    measured = f"{value:.1f} times" if value else "-"
    return what, f"≥ {least} times faster", measured, value and value >= least


def _growth_row(what: str, value: float) -> tuple[str, str, str, bool]:
    return what, "linear", f"{value:.2f} of linear", value <= LINEAR


def _of_deployments(found: dict):
    if one := found.get("one_host"):
        for kind in ("first", "converged"):
            yield _ratio_row(f"one host, three services, {kind} run", ratio(one, kind), RATIOS[kind])
            what = f"the same by site.yml with its verification, {kind} run"
            yield _ratio_row(what, ratio(one, kind, "site"), SITE_RATIOS[kind])
    if site := found.get("whole_site"):
        seconds = site["converged"]["systemd"]["seconds"]
        yield "the whole site, converged run", f"≤ {SITE_SECONDS} s", f"{seconds:.1f} s", seconds <= SITE_SECONDS
        for kind in ("first", "converged"):
            value = site[kind]["docker"]["seconds"] / site[kind]["systemd"]["seconds"]
            what = f"the whole site as containers, {kind} run"
            yield what, f"≤ {DOCKER_RATIO} of systemd", f"{value:.2f}", value <= DOCKER_RATIO
        if closed := site["converged"].get("tls"):
            value = closed["seconds"] / site["converged"]["systemd"]["seconds"]
            what = "the whole site with monitoring_tls, converged run"
            yield what, f"≤ {TLS_RATIO} of without", f"{value:.2f}", value <= TLS_RATIO
    if fleet := found.get("fleet"):
        what = f"{fleet['hosts']} hosts with node_exporter, converged run"
        yield _ratio_row(what, ratio(fleet, "converged"), RATIOS["fleet"])


def _of_sizes(found: dict):
    if simulated := found.get("simulated_hosts", {}).get("sizes"):
        what = f"{simulated[-1]['hosts']} simulated hosts, growth of CPU time from {FEW_HOSTS}"
        yield _growth_row(what, growth_of_hosts(simulated))
    if simulated := found.get("simulated_site", {}).get("sizes"):
        what = f"site.yml of {simulated[-1]['hosts']} simulated hosts, growth of CPU time from {FEW_HOSTS}"
        yield _growth_row(what, growth_of_hosts(simulated))
    if rows := found.get("target_health", {}).get("sizes"):
        for row in rows:
            if row["targets"] == HEALTH_TARGETS:
                what, kept = f"target_health of {HEALTH_TARGETS:,}", row["seconds"] < HEALTH_SECONDS
                yield what, f"< {HEALTH_SECONDS} s", f"{row['seconds']:.2f} s", kept
        for key, what in (("cpu", "CPU time"), ("peak_mib", "memory")):
            yield _growth_row(f"target_health, growth of {what}", growth(rows, key))
    if config := found.get("scrape_configuration"):
        seconds = config["role"]["seconds"]
        kept = seconds < CONFIGURATION_SECONDS
        what = f"scrape configuration from {config['hosts']:,} hosts"
        yield what, f"< {CONFIGURATION_SECONDS} s", f"{seconds:.1f} s", kept
    if large := found.get("large_server"):
        size = f"{large['files']:,} rule files, {large['jobs']} jobs, {large['targets']:,} discovered targets"
        for kind, what in (("converged", "converged run"), ("changed", "one file changed")):
            own = large["own"][kind]
            seconds = large[kind]["seconds"] - own
            measured = f"{seconds:.1f} s, and {own:.1f} s of Prometheus"
            yield f"{size}, {what}", f"≤ {LARGE_SECONDS[kind]} s", measured, seconds <= LARGE_SECONDS[kind]
    if large := found.get("large_inventory", {}).get("sizes"):
        least, most = large[0], large[-1]
        seconds = most["role"]["seconds"]
        what = f"Alertmanager beside {most['hosts']} hosts of {most['variables']} variables"
        yield what, f"< {INVENTORY_SECONDS} s", f"{seconds:.1f} s", seconds < INVENTORY_SECONDS
        value = most["role"]["cpu"] / least["role"]["cpu"] / (most["hosts"] / least["hosts"])
        yield _growth_row(f"{what}, growth of CPU time", value)


def tables(found: dict) -> str:
    """Everything that was measured, in Markdown."""
    kept = {True: "yes", False: "**no**", None: "not measured"}
    text = [_table(("promise", "asked for", "measured", "kept"), [(*row[:3], kept[row[3]]) for row in promises(found)])]
    if one := found.get("one_host"):
        text += ["### One host: node_exporter, Alertmanager, Prometheus", _runs(one), _machine(one)]
    if site := found.get("whole_site"):
        text += ["### One host: all services, site.yml with its verification", _runs(site), _machine(site)]
    if fleet := found.get("fleet"):
        text += [f"### {fleet['hosts']} hosts: node_exporter", _runs(fleet), _machine(fleet)]
    for part, title in (
        ("simulated_hosts", "Simulated hosts: node_exporter, converged"),
        ("simulated_site", "Simulated hosts: node_exporter, scraped by one Prometheus, converged site.yml"),
    ):
        if simulated := found.get(part, {}).get("sizes"):
            header = ("hosts", "seconds", "CPU seconds", "CPU seconds a host")
            rows = [
                (str(row["hosts"]), f"{row['seconds']:.1f}", f"{row['cpu']:.1f}", f"{row['cpu'] / row['hosts']:.2f}")
                for row in simulated
            ]
            text += [f"### {title}", _table(header, rows), _machine(found[part])]
    if health := found.get("target_health", {}).get("sizes"):
        header = ("targets", "answer of Prometheus", "seconds", "CPU seconds", "peak memory")
        rows = [
            (f"{row['targets']:,}", f"{row['answer_mib']} MiB", f"{row['seconds']:.2f}", f"{row['cpu']:.2f}",
             f"{row['peak_mib']:.0f} MiB") for row in health
        ]  # fmt: skip
        text += ["### target_health, the whole process of the module", _table(header, rows)]
        text.append(_machine(found["target_health"]))
    if config := found.get("scrape_configuration"):
        rows = [
            ("the Prometheus role, which deploys the targets", config["deployed"]),
            ("the Prometheus role afterwards, in check mode", config["role"]),
            ("a play without tasks over the same inventory", config["empty"]),
            ("the function behind the lookup alone", config["function"]),
        ]
        rows = [(what, f"{cost['seconds']:.2f}", f"{cost['cpu']:.2f}" if "cpu" in cost else "") for what, cost in rows]
        title = f"### Scrape configuration from {config['hosts']:,} inventory hosts"
        text += [title, _table(("what", "seconds", "CPU seconds"), rows), _machine(config)]
    if large := found.get("large_server"):
        rows = [
            ("first run of site.yml", large["first"]),
            ("converged run", large["converged"]),
            ("run that changes one rule file", large["changed"]),
            *((what, {"seconds": seconds}) for what, seconds in large["prometheus"].items()),
        ]
        rows = [(what, f"{cost['seconds']:.2f}", f"{cost['cpu']:.2f}" if "cpu" in cost else "") for what, cost in rows]
        title = "### One Prometheus: {files:,} rule files, {jobs} jobs, {targets:,} discovered targets".format(**large)
        text += [title, _table(("what", "seconds", "CPU seconds"), rows)]
        text += [
            _HOLDS.format(**large),
            _machine(large),
        ]
    if large := found.get("large_inventory", {}).get("sizes"):
        rows = [
            (str(row["hosts"]), str(row["variables"]), what, f"{row[name]['seconds']:.2f}", f"{row[name]['cpu']:.2f}")
            for row in large
            for name, what in (("role", "the Alertmanager role in check mode"), ("empty", "a play without tasks"))
        ]
        text += [
            "### Other hosts' own variables",
            _table(("hosts", "variables", "what", "seconds", "CPU seconds"), rows),
        ]
        text.append(_machine(found["large_inventory"]))
    return "\n\n".join(text)


def _machine(part: dict) -> str:
    return "; ".join(f"{key} {value}" for key, value in part["machine"].items()) + "."


def _runs(part: dict) -> str:
    names = {"roles": "vigil.monitoring, the roles", "site": "vigil.monitoring, site.yml with its verification"}
    names["peer"] = "prometheus.prometheus, the roles"
    names |= {"systemd": "as systemd services", "docker": "as containers"}
    names["tls"] = "as systemd services, with monitoring_tls"
    rows = []
    for kind, title in _KINDS.items():
        for who, name in names.items():
            if cost := part.get(kind, {}).get(who):
                times = f"{part[kind]['peer']['seconds'] / cost['seconds']:.1f}" if "peer" in part[kind] else ""
                rows.append(
                    (title, name, f"{cost['seconds']:.1f}", f"{cost['cpu']:.1f}", times, str(cost["ok"]),
                     str(cost["changed"]), str(cost.get("load", "")), ", ".join(f"{run:.1f}" for run in cost["runs"]))
                )  # fmt: skip
    header = ("run", "what", "seconds", "CPU seconds", "times faster", "tasks ok", "changed", "load", "each run")
    return _table(header, rows)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    ruled = [header, tuple("-" * width for width in widths), *rows]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in ruled)


def write(path: Path, text: str) -> None:
    """Put the tables between the marks of a document."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    dummy, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} lacks the marks of the figures")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
