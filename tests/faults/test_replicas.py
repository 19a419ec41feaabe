"""Two Prometheus servers that see the same thing make one alert of it."""

from __future__ import annotations

import json
import time

from faults.conftest import Site, base_variables, snapshot, started

from lab import hosts, play
from lab.common import ROOT


def get(host, path, port=9090):
    return json.loads(host.run(f"curl -fsS http://127.0.0.1:{port}{path}", check=False).stdout or "null")


def test_two_servers_make_one_alert(tmp_path):
    image = snapshot("trixie", tmp_path)
    with (
        hosts.host("trixie", group="fault", image=image) as one,
        hosts.host("trixie", group="fault", image=image) as two,
    ):
        variables = {
            **base_variables(),
            "prometheus_alert_rules": [{"alert": "Mine", "expr": "vector(1)"}],
            "prometheus_rule_packs": [],
            "prometheus_web_listen_address": "0.0.0.0:9090",
        }
        inventory = hosts.inventory({"prometheus": [one, two], "alertmanager": [one]}, **variables)
        path = tmp_path / "two.json"
        path.write_text(json.dumps(inventory))
        argv = ["ansible-playbook", str(ROOT / "site.yml"), "-i", str(path)]
        environment = started(Site(one, tmp_path)).environment()
        play.run(argv, tmp_path, environment, 300).must_be_green(changed=True)
        deadline = time.monotonic() + 90
        sent = [0, 0]
        while min(sent) == 0:
            assert time.monotonic() < deadline, "one of the servers sends nothing"
            shown = "curl -fsS http://127.0.0.1:9090/metrics | grep ^prometheus_notifications_sent_total"
            found = [host.run(shown).stdout.splitlines() for host in (one, two)]
            sent = [sum(float(line.split()[-1]) for line in lines) for lines in found]
            time.sleep(0.5)
        alerts = [
            alert["labels"] for alert in get(one, "/api/v2/alerts", 9093) if alert["labels"]["alertname"] == "Mine"
        ]
        assert alerts == [{"alertname": "Mine"}]
        labels = [get(host, "/api/v1/status/config")["data"]["yaml"] for host in (one, two)]
        assert [f"replica: {host.name}" in text for host, text in zip((one, two), labels)] == [True, True]
