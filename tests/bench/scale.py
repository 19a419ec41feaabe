"""What grows with the number of targets and hosts: the verification of targets, the scrape configuration, what an inventory
holds besides, and what the controller does for each host.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.vigil.monitoring.plugins.plugin_utils._scrape import plan

from lab import hosts, mirror
from lab.common import ROOT, LabError, say
from lab.play import recap

from .deploy import Ours
from .measure import Cost, median, timed, write_json

MODULE = "ansible_collections.vigil.monitoring.plugins.modules.target_health"
# Runs the module as a host would, then tells the largest size that the process has had. The kernel's account of a
# child is of no use for this: it begins with the size of its parent.
RUNNER = """
import pathlib, re, runpy, sys
sys.argv = ["target_health", sys.argv[1]]
try:
    runpy.run_module({module!r}, run_name="__main__")
finally:
    print("peak", re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


def target_health(folder: Path, sizes: tuple[int, ...]) -> list[dict]:
    """The module's own process against a server that answers as Prometheus does, for each number of targets."""
    found = []
    for size in sizes:
        place = folder / f"targets{size}"
        answer = place / "api" / "v1" / "targets"
        answer.parent.mkdir(parents=True)
        expect = [_pair(number) for number in range(size)]
        with open(answer, "w", encoding="utf-8") as stream:
            stream.write('{"status":"success","data":{"activeTargets":[')
            stream.writelines(("," if number else "") + json.dumps(_target(number)) for number in range(size))
            stream.write('],"droppedTargets":[],"droppedTargetCounts":{}}}')
        with mirror.serve(folder=place) as server:
            given = {"prometheus_url": server.url, "timeout": 0, "expect": expect, "use_proxy": False}
            arguments = write_json(place / "arguments.json", {"ANSIBLE_MODULE_ARGS": given})
            argv = [sys.executable, "-c", RUNNER.format(module=MODULE), str(arguments)]
            cost, output = timed(argv, {"PYTHONPATH": str(ROOT / "collections"), "PATH": "/usr/bin:/bin"})
        assert f'"up": {size},' in output, output[:2000]
        peak = int(re.search(r"^peak (\d+)$", output, re.MULTILINE)[1]) / 1024
        megabytes = answer.stat().st_size / 2**20
        found.append(
            {
                "targets": size,
                "answer_mib": round(megabytes, 1),
                "seconds": round(cost.seconds, 3),
                "cpu": round(cost.cpu, 3),
                "peak_mib": round(peak, 1),
            }
        )
        say(f"target_health of {size} targets: {cost.seconds:.2f} s, {peak:.0f} MiB")
    return found


def _pair(number: int) -> dict[str, str]:
    return {"job": "node", "instance": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:9100"}


def _target(number: int) -> dict:
    """One target as /api/v1/targets tells it, with the labels that file discovery brings."""
    pair = _pair(number)
    address = pair["instance"]
    own = {"datacenter": f"dc{number % 3}", "rack": f"r{number % 40}"}
    return {
        "discoveredLabels": {
            "__address__": address,
            "__meta_filepath": "/etc/prometheus/file_sd/inventory/node.yml",
            "__metrics_path__": "/metrics",
            "__scheme__": "http",
            "__scrape_interval__": "15s",
            "__scrape_timeout__": "10s",
            "job": "node",
            **own,
        },
        "labels": {**pair, **own},
        "scrapePool": "node",
        "scrapeUrl": f"http://{address}/metrics",
        "globalUrl": f"http://{address}/metrics",
        "lastError": "",
        "lastScrape": "2024-05-01T12:00:00.123456789Z",
        "lastScrapeDuration": 0.012345678,
        "health": "up",
        "scrapeInterval": "15s",
        "scrapeTimeout": "10s",
    }


def scrape_configuration(folder: Path, url: str, host: hosts.Host, size: int) -> dict:
    """The Prometheus role on a host that runs Prometheus, with this many hosts in the inventory: the run that deploys the targets,
    and one in check mode that finds nothing to do.

    Beside it: a play without tasks over the same inventory, and the function that makes the targets on its own.
    """
    side = Ours(folder / "inventory", url)
    side.run([host])
    inventory = folder / "inventory" / "many"
    inventory.mkdir()
    many = {f"node{number:05}": _variables(number) for number in range(size)}
    write_json(
        inventory / "many.json",
        {"all": {"hosts": many, "children": {"node_exporter": {"hosts": {name: {} for name in many}}}}},
    )
    on = [host]
    own = hosts.inventory(dict.fromkeys(side.services, on), **side.variables(on))
    own["all"]["vars"]["monitoring_labels"] = {
        "datacenter": "{{ datacenter | default('dc0') }}",
        "rack": "{{ rack | default('none') }}",
    }
    # They are not there: Prometheus is not to spend the time of this machine on connecting to them.
    own["all"]["vars"]["prometheus_global"] = {"scrape_interval": "1h", "scrape_timeout": "10s"}
    write_json(inventory / "host.json", own)
    play = {"name": "Deploy", "hosts": host.name, "gather_facts": False}
    playbooks = {
        "role": write_json(folder / "role.yml", [{**play, "roles": ["vigil.monitoring.prometheus"]}]),
        "empty": write_json(folder / "empty.yml", [{**play, "tasks": []}]),
    }
    result = {"hosts": size}
    for name, playbook, *more in (
        ("deployed", playbooks["role"]),
        ("role", playbooks["role"], "--check"),
        ("empty", playbooks["empty"]),
    ):
        cost, output = timed(
            ["ansible-playbook", str(playbook), "-i", str(inventory), *more], side.environment(), folder
        )
        result[name] = {
            "seconds": round(cost.seconds, 2),
            "cpu": round(cost.cpu, 2),
            "changed": recap(output, "changed"),
        }
        say(f"{name} play with {size} hosts in the inventory: {cost.seconds:.1f} s")
    assert result["deployed"]["changed"] and not result["role"]["changed"], result
    result["function"] = {"seconds": round(_function(many), 3)}
    say(f"the targets of {size} hosts, the function alone: {result['function']['seconds']:.2f} s")
    return result


def simulated_hosts(folder: Path, url: str, host: hosts.Host, sizes: tuple[int, ...], rounds: int) -> list[dict]:
    """Converged runs of node_exporter on hosts that only answer as this one does: what the controller does, and nothing else."""
    side = Ours(folder / "simulated", url, ("node_exporter",))
    side.run([host])
    own = hosts.inventory({"node_exporter": [host]}, **side.variables([host]))["all"]["vars"]
    common = {**own, "ansible_connection": "answering", "answering_file": str(folder / "answers.json")}
    environment = {**side.environment(), "ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).parent / "connection")}

    def run(names: dict[str, dict]) -> Cost:
        inventory = {"all": {"vars": common, "children": {"node_exporter": {"hosts": names}}}}
        path = write_json(folder / "simulated.json", inventory)
        cost, output = timed(["ansible-playbook", str(side.playbook()), "-i", str(path)], environment, folder)
        assert recap(output, "ok") == 2 * len(names) and not recap(output, "changed"), output[-2000:]
        return cost

    run({host.name: {"answering_recorded": True}})
    rows = []
    for size in sizes:
        costs = [run({f"node{number:03}": {} for number in range(size)}) for dummy in range(rounds)]
        middle = median(costs)
        rows.append({"hosts": size, "seconds": round(middle.seconds, 2), "cpu": round(middle.cpu, 2)})
        say(f"converged run on {size} simulated hosts: {middle.seconds:.1f} s, {middle.cpu:.1f} s of CPU")
    return rows


def simulated_site(folder: Path, url: str, pair: list[hosts.Host], sizes: tuple[int, ...]) -> list[dict]:
    """Converged runs of site.yml on a host with Prometheus, and on hosts with node_exporter that only answer as another one does.

    Each of them is a target, and is verified, by the node_exporter of that one.

    :param pair: the host with node_exporter, and the one with Prometheus.
    """
    host, server = pair
    side = Ours(folder / "simulated-site", url, ("node_exporter",))
    side.run([host])
    variables = side.variables([host]) | {
        "prometheus_version": mirror.versions()["prometheus"]["new"],
        "monitoring_address": host.ip,
    }
    simulated = {"ansible_connection": "answering", "answering_file": str(folder / "answers-site.json")}
    environment = {**side.environment(), "ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).parent / "connection")}

    def run(playbook: Path, groups: dict[str, dict]) -> tuple[Cost, str]:
        children = {name: {"hosts": members} for name, members in groups.items()}
        path = write_json(folder / "site-inventory.json", {"all": {"vars": variables, "children": children}})
        return timed(["ansible-playbook", str(playbook), "-i", str(path)], environment, folder)

    exporter = write_json(folder / "exporter.yml", [
        {"name": "Deploy", "hosts": "all", "gather_facts": False, "roles": ["vigil.monitoring.node_exporter"]}
    ])  # fmt: skip
    run(exporter, {"node_exporter": {host.name: {**simulated, "answering_recorded": True}}})
    rows = []
    for size in sizes:
        names = [f"node{number:03}" for number in range(size)]
        # One address for all: they are told apart by a label, as behind a proxy.
        members = {name: {**simulated, "monitoring_labels": {"instance": name}} for name in names}
        groups = {"node_exporter": members, "prometheus": {server.name: server.vars()}}
        run(ROOT / "site.yml", groups)
        cost, output = run(ROOT / "site.yml", groups)
        verified = f"MONITORING: {size + 1} of {size + 1} services verified"
        assert verified in output and not recap(output, "changed"), output[-2000:]
        rows.append({"hosts": size, "seconds": round(cost.seconds, 2), "cpu": round(cost.cpu, 2)})
        say(f"converged site.yml of {size} simulated hosts: {cost.seconds:.1f} s, {cost.cpu:.1f} s of CPU")
    return rows


def large_inventory(folder: Path, url: str, host: hosts.Host, size: int, variables: int) -> dict:
    """The Alertmanager role in check mode, beside hosts with many variables of somebody else's.

    Among them is what cannot be evaluated: it must not be. A play without tasks over the same inventory shows what Ansible
    itself needs to read it; a third of the hosts, whether it is linear.
    """
    side = Ours(folder / "inventory", url, ("node_exporter", "alertmanager"))
    side.run([host])
    own = hosts.inventory({name: [host] for name in side.services}, **side.variables([host]))
    play = {"name": "Deploy", "hosts": host.name, "gather_facts": False}
    playbooks = {
        "role": write_json(folder / "role.yml", [{**play, "roles": ["vigil.monitoring.alertmanager"]}]),
        "empty": write_json(folder / "empty.yml", [{**play, "tasks": []}]),
    }
    rows = []
    for count in (size // 3, size):
        inventory = folder / "inventory" / f"large{count}"
        inventory.mkdir()
        write_json(inventory / "host.json", own)
        many = {f"node{number:05}": _structures(number, variables) for number in range(count)}
        groups = {"node_exporter": {"hosts": {name: {} for name in many}}, "alertmanager": {"hosts": {"node00001": {}}}}
        write_json(inventory / "many.json", {"all": {"hosts": many, "children": groups}})
        row = {"hosts": count, "variables": variables}
        for name, playbook in playbooks.items():
            argv = ["ansible-playbook", str(playbook), "-i", str(inventory), "--check", "-v"]
            cost, output = timed(argv, side.environment(), folder)
            row[name] = {"seconds": round(cost.seconds, 2), "cpu": round(cost.cpu, 2)}
            say(f"{name} play beside {count} hosts of {variables} variables, in check mode: {cost.seconds:.1f} s")
            (folder / f"{name}{count}.log").write_text(output, encoding="utf-8")
        rows.append(row)
    return {"sizes": rows}


def large_server(folder: Path, url: str, host: hosts.Host, rounds: int, files: int, jobs: int, targets: int) -> dict:
    """site.yml for one Prometheus with many rule files and jobs, all of whose targets are discovered: converged runs, runs that
    change one rule file, and what promtool and Prometheus themselves take for the same.
    """
    side = Ours(folder / "large", url, ("prometheus",))
    rules = side.folder / "rules"
    rules.mkdir()
    for number in range(files):
        write_json(rules / f"team{number:04}.yml", _rule_file(number, number % jobs, 0))
    result = {"files": files, "jobs": jobs, "targets": targets}

    def run(what: str) -> Cost:
        cost, output = side.run([host], ROOT / "site.yml")
        assert bool(recap(output, "changed")) == (what != "converged"), output[-3000:]
        say(f"{what} run with {files} rule files and {targets} targets: {cost.seconds:.1f} s, {cost.cpu:.1f} s of CPU")
        return cost

    with _scraped(hosts.gateway(), targets // jobs) as address:
        # Each target once in five minutes, as it has to share this machine with everything else.
        rare = {"scrape_interval": "5m", "scrape_timeout": "10s"}
        side.more = {
            "prometheus_global": {"scrape_interval": "15s", "scrape_timeout": "10s", "evaluation_interval": "30s"},
            "prometheus_alert_rules_files": [f"{rules}/*.yml"],
            "prometheus_scrape_configs": [
                {"job_name": _job(job), **rare, "http_sd_configs": [{"url": f"http://{address}/discovery/{job}"}]}
                for job in range(jobs)
            ],
        }
        costs = {"first": [run("first")], "converged": [], "changed": []}
        _until_scraped(host, targets)
        for number in range(rounds):
            costs["converged"].append(run("converged"))
            write_json(rules / "team0000.yml", _rule_file(0, 0, number + 1))
            costs["changed"].append(run("changed"))
        for what, found in costs.items():
            middle = median(found)
            result[what] = {"seconds": round(middle.seconds, 2), "cpu": round(middle.cpu, 2)}
        result |= _at_work(host)
        own = {what: round(_seconds(host, command), 2) for what, command in _OWN.items()}
        result["prometheus"] = own
        # What a run cannot do without: the comparison and the verification request the metrics, the latter the rules as well; where one
        # of them changed, their validation, a reload and the first evaluation come first.
        answers = 2 * own[_METRICS] + own[_RULES]
        result["own"] = {"converged": round(answers, 2), "changed": round(answers + own[_VALID] + own[_LOADED], 2)}
    return result


_METRICS, _RULES = "Prometheus shows its metrics", "Prometheus shows its rules"
_VALID, _LOADED = "promtool validates the configuration", "Prometheus loads a changed rule and evaluates it once"
_STATE = "curl -fsS -g 'localhost:9090/api/v1/rules?type=alert&rule_name[]=Team0000Down'"
# What Prometheus itself takes, by a shell command on its host.
_OWN = {
    _METRICS: "curl -fsS -o /dev/null localhost:9090/metrics",
    _RULES: "curl -fsS -o /dev/null localhost:9090/api/v1/rules",
    _VALID: "promtool check config /etc/prometheus/prometheus.yml >/dev/null",
    _LOADED: (
        "sed -i 's/< [0-9]*/< 77/' /etc/prometheus/rules/team0000.yml; systemctl reload prometheus;"
        f""" until {_STATE} | grep -q '77".*"health":"ok"'; do sleep 0.2; done"""
    ),
}


def _seconds(host: hosts.Host, command: str) -> float:
    began = time.perf_counter()
    host.run(command)
    return time.perf_counter() - began


_COUNTERS = {
    "cpu_share": "process_cpu_seconds_total",
    "scrapes": "prometheus_target_interval_length_seconds_count",
    "samples": "prometheus_tsdb_head_samples_appended_total",
    "evaluations": "prometheus_rule_evaluations_total",
}


def _at_work(host: hosts.Host, seconds: int = 60) -> dict:
    """What a Prometheus holds, and what it does in a second while nobody deploys anything."""
    before, began = _metrics(host), time.monotonic()
    time.sleep(seconds)
    after, took = _metrics(host), time.monotonic() - began
    return {
        "series": int(after["prometheus_tsdb_head_series"]),
        "memory_mib": round(after["process_resident_memory_bytes"] / 2**20),
        **{name: round((after[metric] - before[metric]) / took, 2) for name, metric in _COUNTERS.items()},
    }


def _metrics(host: hosts.Host) -> dict[str, float]:
    """Name of a metric -> the sum of its samples."""
    found: dict[str, float] = {}
    for line in host.run("curl -fsS localhost:9090/metrics").stdout.splitlines():
        if not line.startswith("#"):
            name, value = line.partition("{")[0].split(" ")[0], line.rpartition(" ")[2]
            found[name] = found.get(name, 0.0) + float(value)
    return found


def _until_scraped(host: hosts.Host, targets: int) -> None:
    """Wait until the targets were scraped once, so that all runs see the same."""
    for dummy in range(60):
        query = "curl -fsS 'localhost:9090/api/v1/query?query=count(up==1)'"
        found = json.loads(host.run(query).stdout)["data"]["result"]
        # A query looks back as long as their interval is: at any moment it misses a few that are late.
        if found and int(found[0]["value"][1]) >= 0.99 * targets:
            return
        time.sleep(10)
    raise LabError(f"not all of {targets} targets were scraped within 10 minutes")


def _job(number: int) -> str:
    return f"discovered{number:03}"


def _rule_file(number: int, job: int, threshold: int) -> dict:
    alert = {"alert": f"Team{number:04}Down", "expr": f'sum(up{{job="{_job(job)}"}}) < {threshold}', "for": "10m"}
    record = {"record": f"team{number:04}:up:sum", "expr": f'sum(up{{job="{_job(job)}"}})'}
    return {"groups": [{"name": f"team{number:04}", "rules": [alert, record]}]}


@contextlib.contextmanager
def _scraped(address: str, number: int):
    """What discovers this many targets for each job, and answers them all, for the length of a `with` block; yields its address."""
    program = Path(__file__).parent / "target.py"
    with subprocess.Popen(
        [sys.executable, str(program), address, str(number)], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            yield f"{address}:{server.stdout.readline().strip()}"
        finally:
            server.kill()


def _structures(number: int, variables: int) -> dict:
    """Variables of a host that no service of ours asks for: structures with templates, some of which cannot be evaluated."""
    found = {
        f"application_{index}": {"name": "{{ inventory_hostname }}", "ports": [index, "{{ port_nobody_set }}"]}
        for index in range(variables)
    }
    found["application_0"]["others"] = "{{ groups['all'] | map('extract', hostvars, 'ansible_host') | list }}"
    found["application_1"]["key"] = "{{ lookup('ansible.builtin.file', '/nowhere/to/be/found') }}"
    return {"ansible_host": _pair(number)["instance"].partition(":")[0], **found}


def _variables(number: int) -> dict[str, str]:
    address = _pair(number)["instance"].partition(":")[0]
    return {"ansible_host": address, "datacenter": f"dc{number % 3}", "rack": f"r{number % 40}"}


def _function(many: dict[str, dict[str, str]]) -> float:
    """Seconds of the function behind the lookup, with finished variables."""
    values = {
        name: {**found, "monitoring_labels": {key: found[key] for key in ("datacenter", "rack")}}
        for name, found in many.items()
    }
    began = time.perf_counter()
    made = plan(
        {"node_exporter": {"job": "node", "service": "node_exporter", "port": 9100}},
        {"node_exporter": list(many)},
        lambda host, name: values[host].get(name),
    )
    seconds = time.perf_counter() - began
    assert len(made["expected"]) == len(many)
    return seconds
