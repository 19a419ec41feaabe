# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of dashboards, over series of promtool's.

The order of the hosts in Fleet Overview: by trouble, and what is red in its row is trouble before its alert fires. That of the containers.
And each of the top queries of a database once, whether its text is known or not.
"""

from __future__ import annotations

import json
import subprocess

from lab import dashboards

# Host -> (it answers, CPU, memory and what is left of its disk, alerts: severity and state). Those in trouble first.
HOSTS = {
    "down": (0, None, None, None, []),
    "critical": (1, 0.5, 0.25, 0.75, [("critical", "firing"), ("warning", "firing")]),
    "red": (1, 0.5, 0.25, 0.125, [("critical", "pending"), ("warning", "pending")]),
    "warning": (1, 0.5, 0.25, 0.75, [("warning", "firing")]),
    "yellow": (1, 0.5, 0.25, 0.25, [("warning", "pending")]),
    "fuller": (1, 0.125, 0.25, 0.25, []),
    "busier": (1, 0.625, 0.25, 0.5, []),
    "memory": (1, 0.125, 0.5625, 0.5, []),
    "idle": (1, 0.125, 0.25, 0.75, []),
}
POINTS = {"critical firing": 100, "critical pending": 30, "warning firing": 10, "warning pending": 3}


def series():
    """The series of the hosts, one sample each."""
    for host, (up, cpu, memory, left, alerts) in HOSTS.items():
        target = f'job="node", instance="{host}:9100", host="{host}"'
        yield f"up{{{target}}}", up
        yield f"node_uname_info{{{target}}}", 1
        if up:
            yield f"instance:node_cpu_utilisation:rate5m{{{target}}}", cpu
            yield f"instance:node_memory_utilisation:ratio{{{target}}}", memory
            place = 'device="/dev/sda1", fstype="ext4", mountpoint="/"'
            yield f"instance:node_filesystem_avail:ratio{{{target}, {place}}}", left
        for severity, state in alerts:
            about = f'alertname="HighDiskUsage", severity="{severity}", alertstate="{state}"'
            yield f"ALERTS{{{target}, {about}}}", 1


def points(host):
    """What a host gets."""
    up, cpu, memory, left, alerts = HOSTS[host]
    states = [f"{severity} {state}" for severity, state in alerts]
    # A warning that is critical as well is one alert.
    states = [one for one in states if one != "warning firing" or "critical firing" not in states]
    return 1000 * (1 - up) + sum(POINTS[state] for state in states) + (max(cpu, memory, 1 - left) if up else 0)


def ordered(uid):
    """The expression by which the table of a dashboard is sorted, the largest first."""
    shown = next(panel for panel in dashboards.panels_of(dashboards.shown()[uid]) if panel["type"] == "table")
    (sorting,) = [one for one in shown["transformations"] if one["id"] == "sortBy"]
    assert sorting["options"]["sort"] == [{"field": f"Value #{shown['targets'][-1]['refId']}", "desc": True}]
    return dashboards.filled(shown["targets"][-1]["expr"])


def asked(promtool, folder, given, question):
    """Fail unless promtool gets from these series what is expected."""
    content = {"tests": [{"interval": "1m", "input_series": given, "promql_expr_test": [question]}]}
    (folder / "tests.json").write_text(json.dumps(content), encoding="utf-8")
    argv = [promtool, "test", "rules", str(folder / "tests.json")]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_those_in_trouble_are_first(promtool, tmp_path):
    assert sorted(HOSTS, key=points, reverse=True) == list(HOSTS)
    samples = [{"labels": f'{{name="{host}"}}', "value": points(host)} for host in HOSTS]
    question = {"expr": ordered("mon-fleet"), "eval_time": "1m", "exp_samples": samples}
    asked(promtool, tmp_path, [{"series": name, "values": f"{value}x2"} for name, value in series()], question)


# Container -> (seconds since it was seen, kills and starts within the hour, bytes of memory, its limit, points without those for memory).
CONTAINERS = {
    "gone": (300, 0, 0, 2**20, 0, 1000),
    "killed": (0, 1, 1, 2**20, 2**21, 110.5),
    "started": (0, 0, 1, 2**20, 2**22, 10.25),
    "full": (0, 0, 0, 2**20, 2**20, 1),
    "large": (0, 0, 0, 2**30, 0, 0),
    "small": (0, 0, 0, 2**20, 0, 0),
}


def test_containers_in_trouble_are_first(promtool, tmp_path):
    """Evaluated after an hour, of which the trouble is half an hour ago."""
    given = []
    for name, (ago, kills, starts, memory, limit, dummy) in CONTAINERS.items():
        labels = f'{{name="{name}", host="one", id="/docker/{name}"}}'
        for metric, values in {
            "last_seen": f"{3600 - ago}x60",
            "memory_working_set_bytes": f"{memory}x60",
            "spec_memory_limit_bytes": f"{limit}x60",
            "oom_events_total": f"0x29 {kills}x30",
            "cpu_usage_seconds_total": "0+6x29 " + ("0+6x30" if starts else "180+6x30"),
        }.items():
            given.append({"series": f"container_{metric}{labels}", "values": values})
    wanted = {name: points + memory / 1e18 for name, (*dummy, memory, dummy, points) in CONTAINERS.items()}
    assert sorted(wanted, key=wanted.get, reverse=True) == list(CONTAINERS)
    samples = [{"labels": f'{{host="one", name="{name}"}}', "value": value} for name, value in wanted.items()]
    question = {"expr": ordered("mon-containers"), "eval_time": "60m", "exp_samples": samples}
    asked(promtool, tmp_path, given, question)


def test_a_query_is_listed_once_with_its_text_where_it_is_known(promtool, tmp_path):
    shown = {panel["title"]: panel for panel in dashboards.panels_of(dashboards.shown()["mon-db"])}
    about = {name: f'datname="shop", user="app", queryid="{name}"' for name in ("1", "2")}
    given = [
        {"series": f"pg_stat_statements_seconds_total{{{labels}}}", "values": "0+30x60"} for labels in about.values()
    ]
    given.append({"series": 'pg_stat_statements_query_id{queryid="1", query="SELECT 1"}', "values": "1x60"})
    labels = [f'{{{about["1"]}, query="SELECT 1"}}', f"{{{about['2']}}}"]
    samples = [{"labels": one, "value": 0.5} for one in labels]
    expr = dashboards.filled(shown["Top 10 queries by total time"]["targets"][0]["expr"])
    asked(promtool, tmp_path, given, {"expr": expr, "eval_time": "60m", "exp_samples": samples})
