# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a real Prometheus that has a bad night in its database, by the playbook and by the module.

The server is the lab mirror's, on the loopback; no lab host is needed.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import night
import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from night import HOUR, MINUTE

from lab import play, sink
from lab.loopback import PASSWORD, free_port, guard, module

ROOT = Path(__file__).resolve().parents[2]
# Imported samples have no mark of their series' end, so it lasts as long as Prometheus looks back.
STALE = 5 * MINUTE


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    return night.binaries(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="module")
def world(programs, tmp_path_factory):
    """A Prometheus after a bad night; its address and the end of the night."""
    end = night.now()
    with night.prometheus(programs, tmp_path_factory.mktemp("world"), night.bad_night(end), night.RULES) as address:
        time.sleep(5)
        yield {"address": address, "end": end}


def ask(url, **options):
    """The result of the module, with what its action plugin adds."""
    return module("checklist", prometheus_url=url, version_metrics=_rooms.version_metrics(), **options)


@pytest.fixture(scope="module")
def answers(world):
    return ask(f"http://{world['address']}")


def report(folder, hosts, *arguments, limit="all"):
    """Run the playbook as from a clone; its exit status, its output and the files that it wrote, by suffix."""
    inventory = {"all": {"children": {"prometheus": {"hosts": hosts}}, "vars": {"ansible_connection": "local"}}}
    (folder / "hosts.json").write_text(json.dumps(inventory))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    chosen = [f"monitoring_report_dir={folder}/reports", f"ansible_python_interpreter={sys.executable}"]
    argv = ["ansible-playbook", "report.yml", "-i", str(folder / "hosts.json"), "-l", limit]
    argv += [part for each in chosen for part in ("-e", each)]
    ended = play.run([*argv, *arguments], ROOT, {**environment, "ANSIBLE_NOCOLOR": "1", "TZ": "UTC"}, timeout=180)
    files = {path.suffix: path for path in folder.glob("reports/*")}
    return ended.status, ended.output, files


def test_nothing_is_left_unanswered(answers):
    assert answers["answered"] is True and answers["changed"] is False and answers["problems"] == []
    assert answers["queries"] <= 40 + 2 * len(answers["thresholds"]["checked"])
    assert answers["version"].startswith(
        json.loads(night.mirror.path().joinpath("versions.json").read_text())["prometheus"]["new"]
    )


def test_targets_versions_restarts_and_availability(answers):
    assert (answers["targets"]["up"], answers["targets"]["expected"]) == (1, 2)
    assert "connection refused" in answers["targets"]["down"][0]["last_error"]
    jobs = {job["job"]: job for job in answers["services"]}
    assert answers["targets"]["jobs"] == {"prometheus": [1, 1], "lost": [0, 1]}
    assert jobs["node"]["versions"] == {"node_exporter": {"1.11.1": 1, "1.9.0": 1}, "cadvisor": {"0.60.3": 2}}
    assert jobs["node"]["instances"][0]["instance"] == "web1:9100"
    assert jobs["node"]["instances"][0]["up"] == pytest.approx(23 / 24, abs=0.002)
    assert [entry["instance"] for entry in jobs["node"]["restarts"]] == ["web1:9100"]


def test_alerts_of_the_night(world, answers):
    fired = {entry["alert"]: entry for entry in answers["alerts"]["fired"]}
    assert set(fired) == {"HighLoad", "HighDiskUsage", "PostgresDown", "ProbeFailed"}
    disk = fired["HighDiskUsage"]["episodes"]
    assert len(disk) == 1 and disk[0]["before"] and disk[0]["ongoing"] and disk[0]["start"] == world["end"] - 30 * HOUR
    down = fired["PostgresDown"]["episodes"]
    assert down[0]["start"] == pytest.approx(world["end"] - 20 * MINUTE, abs=30) and down[0]["ongoing"]
    load = [(spell["start"], spell["end"] - spell["start"]) for spell in fired["HighLoad"]["episodes"]]
    assert load[0][0] == pytest.approx(world["end"] - 8 * HOUR + 300, abs=30)
    assert load[1][0] == pytest.approx(world["end"] - 5 * HOUR, abs=30)
    assert [length for dummy, length in load] == pytest.approx([300 + STALE, 180 + STALE], abs=61)


def test_disks(answers):
    disks = {(disk["instance"], disk["mountpoint"]): disk for disk in answers["disks"]}
    assert set(disks) == {("web1:9100", "/"), ("db1:9100", "/"), ("db1:9100", "/var/lib/postgresql")}
    filling = disks["db1:9100", "/var/lib/postgresql"]
    assert filling["per_day"] == pytest.approx(2 * night.GIB, rel=0.01)
    assert filling["days_left"] == pytest.approx(3.2, rel=0.01) and filling["used"] == pytest.approx(93.6, abs=0.1)
    assert disks["db1:9100", "/"]["days_left"] is None


def test_changes_of_the_night(answers):
    changes = answers["changes"]
    assert changes["compared"] and changes["alerts_before"] == [{"alert": "HighDiskUsage", "severity": "critical"}]
    assert {job["job"]: job["count"] for job in changes["added"]} == {"prometheus": 1, "lost": 1}
    (removed,) = changes["removed"]
    assert removed == {"job": "node", "count": 1, "instances": [{"instance": "old1:9100"}]}
    assert changes["versions"] == [
        {"job": "node", "program": "node_exporter", "before": ["1.8.2"], "now": ["1.11.1", "1.9.0"]}
    ]


def test_the_busiest_hosts(answers):
    cpu, memory = answers["hosts"]["cpu"], answers["hosts"]["memory"]
    assert [host["instance"] for host in cpu] == ["db1:9100", "web1:9100"]
    assert cpu[0]["most"] == pytest.approx(90, abs=1) and cpu[1]["most"] == pytest.approx(50, abs=1)
    # 24 hours in steps of five minutes.
    assert cpu[0]["last"] == pytest.approx(50, abs=1) and len(cpu[0]["history"]) > 280
    assert [round(host["most"]) for host in memory] == [88, 25]


def test_backups(answers):
    files, database = answers["backups"]
    assert (files["backup"], database["backup"]) == ("files", "postgresql")
    assert files["age"] == pytest.approx(40 * HOUR, abs=3 * MINUTE) and files["successes"] == 0
    assert database["age"] == pytest.approx(2 * HOUR, abs=3 * MINUTE) and database["successes"] == 1
    assert (files["size"], files["check_success"], files["rehearsed"]) == (None, None, None)
    assert (database["size"], database["check_success"], database["checked"]) == (5 * night.GIB, 1, None)
    # On another host.
    assert database["rehearsed"] == pytest.approx(answers["end"] - 9 * night.DAY, abs=3 * MINUTE)


def test_the_figures_of_a_rehearsal(answers):
    (found,) = answers["rehearsals"]
    assert (found["backup"], found["service"], found["snapshot"]) == ("postgresql", "prometheus", "abcd0001")
    assert found["rehearsed"] - found["taken"] == pytest.approx(2 * HOUR, abs=3 * MINUTE)
    assert (found["size"], found["seconds"]) == (3 * night.GIB, 41)
    assert found["items"] == [{"what": "rules", "restored": 60, "running": 61}]


def test_monitoring_itself(answers):
    checks = {check["check"]: check for check in answers["checks"]}
    assert [check["trouble"] for check in checks.values() if check["bad"]] == [
        "Prometheus is not connected to any Alertmanager"
    ]
    assert (
        checks["Watchdog is firing"]["value"] == 1 and checks["Prometheus has loaded its configuration"]["value"] == 1
    )
    assert checks["Failed notifications"]["value"] is None


def test_thresholds_against_history(answers):
    found = {(line["alert"], line["severity"]): line for line in answers["thresholds"]["checked"]}
    load = found["HighLoad", "warning"]
    # Of the spikes of 20, 10 and 3 minutes two outlast the 5 minutes of the rule.
    assert load["times"] == 2 and load["firing"] == pytest.approx(20 * MINUTE, abs=4 * MINUTE)
    assert load["labels"]["instance"] == "web1:9100" and load["percentile"] == pytest.approx(2, abs=0.1)
    assert found["HighLoad", "critical"]["times"] == 0
    cache = found["CacheHitLow", "warning"]
    # An hour of each day; the night may cut the first and the last of them in two.
    assert cache["times"] in (7, 8) and cache["firing"] == pytest.approx(7 * HOUR, abs=HOUR)
    assert (cache["percentile"], cache["proposal"]) == (90, 90)
    assert {entry["alert"] for entry in answers["thresholds"]["left_out"]} == {"TargetDown", "DiskFillsSoon"}


def test_given_thresholds(world):
    line = {"alert": "Mine", "expr": "node_load1", "threshold": 4, "for": "1m"}
    (found,) = ask(f"http://{world['address']}", thresholds=[line])["thresholds"]["checked"]
    assert found["times"] == 3


def test_a_query_that_prometheus_refuses_is_a_line(world):
    wrong = {"alert": "Wrong", "expr": "sum(rate(", "threshold": 1}
    found = ask(
        f"http://{world['address']}", thresholds=[wrong, {"alert": "Right", "expr": "node_load1", "threshold": 4}]
    )
    assert {problem["section"] for problem in found["problems"]} == {"thresholds"} and len(found["problems"]) == 2
    assert "parse error" in found["problems"][0]["text"] and found["thresholds"]["checked"][1]["times"] == 3


@pytest.mark.parametrize("length", ["10m", "7d", "60d"])
def test_other_ranges(world, length):
    found = ask(f"http://{world['address']}", range=length, threshold_range=length)
    assert found["answered"] and found["problems"] == []


def test_the_playbook_writes_all_forms(world, tmp_path):
    hosts = {"mon": {"prometheus_web_listen_address": world["address"]}}
    status, output, files = report(tmp_path, hosts)
    assert status == 0, output
    assert set(files) == {".md", ".html"}
    for path in files.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o640 and re.fullmatch(r"monitoring-24h-\d{8}T\d{4}Z", path.stem)
    markdown, page = files[".md"].read_text(), files[".html"].read_text()
    for words in (
        "PostgresDown",
        "HighLoad",
        "/var/lib/postgresql",
        "3.2 days",
        "postgresql",
        "Thresholds compared with history",
    ):
        assert words in output and words in markdown and words in page
    assert "✗ db1:9100 /var/lib/postgresql: 94 % used, full in 3.2 days" in output
    assert "✗ 2 backups, 1 older than 26 h" in output
    assert "\x1b" not in output and "\u202e" not in output + markdown + page
    # A strip for each alert, a line for each disk, and for CPU and memory of each host.
    assert "<img" not in page and "&lt;img src=x" in page and page.count("<svg") == 4 + 3 + 2 * 2
    HTMLParser().feed(page)
    # What the inventory expects of this Prometheus is itself, under the address that it has there.
    assert f"prometheus   {world['address']}" not in output and "1 of 1 expected target up" in output


def test_check_mode_writes_nothing_and_marks_are_those_of_the_thresholds(world, tmp_path):
    thresholds = {"BackupTooOld": {"critical": 48}}
    hosts = {"mon": {"prometheus_web_listen_address": world["address"], "prometheus_thresholds": thresholds}}
    status, output, files = report(tmp_path, hosts, "--check", "-e", "monitoring_report_range=7d")
    assert status == 0 and not files and "7 days until" in output and not (tmp_path / "reports").exists()
    assert "✓ 2 backups, none older than 48 h" in output


def test_the_report_is_sent_where_that_is_wanted(world, tmp_path):
    hosts = {"mon": {"prometheus_web_listen_address": world["address"]}}
    with sink.serve() as server:
        mail = {"to": ["ops@example.com"], "from": "mon@example.com", "smarthost": server.smtp, "require_tls": False}
        sent = {"monitoring_report_mail": mail, "monitoring_report_slack": {"api_url": server.url + "/slack/Sentinel"}}
        status, output, dummy = report(tmp_path, hosts, "--check", "-e", json.dumps(sent))
        assert status == 0 and not server.messages, output
        status, output, dummy = report(tmp_path, hosts, "-e", json.dumps(sent), "-v")
        assert status == 0 and "Sentinel" not in output, output
        (letter,), (note,) = server.of("ops@example.com"), server.of("Sentinel")
        assert letter.title.startswith("Monitoring report: 4 problems. 24 hours until ")
        assert "PostgresDown, critical: fired" in letter.body["plain"]
        assert "Thresholds compared with history" in letter.body["html"] and "old1:9100" in note.text
        # What cannot be sent is written all the same.
        server.broken.update(("ops@example.com", "Sentinel"))
        again = tmp_path / "again"
        again.mkdir()
        status, output, written = report(again, hosts, "-e", json.dumps(sent))
    assert status == 2 and set(written) == {".md", ".html"} and "Sentinel" not in output
    assert re.search(
        r"the report was written, and not sent: mail\.smarthost: .*451 out of order; slack\.api_url: HTTP 500", output
    )


def test_a_destination_that_cannot_be_meant(world, tmp_path):
    hosts = {"mon": {"prometheus_web_listen_address": world["address"]}}
    mail = {"to": ["ops"], "from": "mon@example.com", "smarthost": "smtp.example.com:587"}
    status, output, files = report(tmp_path, hosts, "-e", json.dumps({"monitoring_report_mail": mail}))
    assert status == 2 and "mail.to: 'ops' is no address such as ops@example.com" in output and not files
    # Before any server was asked.
    assert "Run the checklist on each Prometheus server" not in output


def test_chosen_formats(world, tmp_path):
    hosts = {"mon": {"prometheus_web_listen_address": world["address"]}}
    status, output, files = report(tmp_path, hosts, "-e", '{"monitoring_report_formats": ["html"]}')
    assert status == 0 and set(files) == {".html"} and "PostgresDown" not in output


def test_several_servers_have_a_section_each_and_one_that_is_silent_fails_after_the_report(world, tmp_path):
    hosts = {
        "first": {"prometheus_web_listen_address": world["address"]},
        "silent": {"prometheus_web_listen_address": f"127.0.0.1:{free_port()}"},
        "agent": {"prometheus_web_listen_address": "127.0.0.1:9", "prometheus_agent_mode": True},
        "gone": {"prometheus_web_listen_address": "127.0.0.1:9", "prometheus_state": "absent"},
    }
    status, output, files = report(tmp_path, hosts)
    assert status == 2 and "no results from silent; the report has the reason" in output
    headings = re.findall(r"^## (.*)$", files[".md"].read_text(), re.MULTILINE)
    assert headings == ["first", "silent", "agent"]
    assert "No data: it cannot be queried: connection refused" in files[".md"].read_text()
    assert output.count("Thresholds compared with history") == 1


@pytest.fixture(scope="module")
def guarded(programs, tmp_path_factory):
    """A Prometheus behind TLS, basic authentication and a path; the variables of its host."""
    folder = tmp_path_factory.mktemp("guarded")
    web, flags = guard(folder)
    scraped = {
        "scheme": "https",
        "basic_auth": {"username": "me", "password": PASSWORD},
        "tls_config": {"ca_file": f"{folder}/cert.pem", "insecure_skip_verify": True},
    }
    with night.prometheus(programs, folder, flags=flags, web=scraped, path="/prom") as address:
        for dummy in range(100):
            if "refused" not in (ask(f"https://{address}/prom").get("problems") or [{"text": ""}])[0]["text"]:
                break
            time.sleep(0.1)
        yield {
            "prometheus_web_listen_address": address,
            "prometheus_web_external_url": "https://lab/prom",
            "prometheus_web_config": web,
            "prometheus_health_ca": f"{folder}/cert.pem",
            "prometheus_health_username": "me",
            "prometheus_health_password": PASSWORD,
        }


def test_through_tls_and_a_password(guarded, tmp_path):
    status, output, files = report(tmp_path, {"mon": guarded}, "-vvv")
    assert status == 0, output
    assert PASSWORD not in output + files[".md"].read_text() + files[".html"].read_text()
    assert "! no backup metric" in output and "! no file system metrics" in output and "✓ no alert fired" in output


@pytest.mark.parametrize(
    "change, words",
    [
        ({"prometheus_health_password": "Sentinel-Wrong-9"}, "authentication failed for user 'me'"),
        ({"prometheus_health_username": "", "prometheus_health_password": ""}, "authentication required"),
        ({"prometheus_health_ca": ""}, "its certificate is not trusted"),
        ({"prometheus_web_external_url": ""}, "no Prometheus API at this URL"),
    ],
)
def test_doors_that_stay_shut(guarded, tmp_path, change, words):
    status, output, files = report(tmp_path, {"mon": {**guarded, **change}}, "-vvv")
    assert status == 2 and words in output and words in files[".md"].read_text()
    assert "Sentinel" not in output


def test_a_password_in_the_url_is_shown_nowhere(guarded):
    address = guarded["prometheus_web_listen_address"]
    # Written with an escape, it has two spellings; neither may be seen.
    url = f"https://me:{PASSWORD.replace('-', '%2D')}@{address}/prom"
    found = ask(url, ca_path=guarded["prometheus_health_ca"], check_name=False)
    assert found["answered"] and "Sentinel" not in json.dumps(found)
    found = ask(url.replace("https", "http"))
    assert not found["answered"] and "Sentinel" not in json.dumps(found)


def test_ranges_that_cannot_be_meant(world, tmp_path):
    hosts = {"mon": {"prometheus_web_listen_address": world["address"]}}
    status, output, files = report(tmp_path, hosts, "-e", "monitoring_report_range=yesterday")
    assert status != 0 and "range: 'yesterday' is not a duration such as 24h" in output and not files
    assert ask("http://127.0.0.1:9", range="1s")["failed"]
