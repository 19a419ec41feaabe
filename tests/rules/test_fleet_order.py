# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of the hosts in Fleet Overview: by trouble, and what is red in its row is trouble before its alert fires."""

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


def test_those_in_trouble_are_first(promtool, tmp_path):
    assert sorted(HOSTS, key=points, reverse=True) == list(HOSTS)
    (table,) = [panel for panel in dashboards.panels_of(dashboards.shown()["mon-fleet"]) if panel["type"] == "table"]
    (sorting,) = [one for one in table["transformations"] if one["id"] == "sortBy"]
    assert sorting["options"]["sort"] == [{"field": f"Value #{table['targets'][-1]['refId']}", "desc": True}]
    samples = [{"labels": f'{{name="{host}"}}', "value": points(host)} for host in HOSTS]
    question = {"expr": dashboards.filled(table["targets"][-1]["expr"]), "eval_time": "1m", "exp_samples": samples}
    given = [{"series": name, "values": f"{value}x2"} for name, value in series()]
    content = {"tests": [{"interval": "1m", "input_series": given, "promql_expr_test": [question]}]}
    (tmp_path / "tests.json").write_text(json.dumps(content), encoding="utf-8")
    argv = [promtool, "test", "rules", str(tmp_path / "tests.json")]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
