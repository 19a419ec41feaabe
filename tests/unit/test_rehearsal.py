# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal of a restore: how services are started beside the running ones, and what a comparison means."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _rehearsal as host
from ansible_collections.vigil.monitoring.plugins.module_utils._backup_program import BackupError
from ansible_collections.vigil.monitoring.plugins.module_utils._restored import give
from ansible_collections.vigil.monitoring.plugins.modules import restore_test
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rehearsal
from ansible_collections.vigil.monitoring.plugins.plugin_utils._rehearsal import Figure
from role_inputs import Inputs, room

NOW = 1795800000.0
MOUNTS = {"/scratch/p/data": "/var/lib/prometheus", "/scratch/p/etc": "/etc/prometheus"}
LIMITS = {"memory": 2 << 30, "cpu": 50}


def test_a_command_line_shares_the_program_and_little_else():
    process = host.Process(["/opt/grafana", "server", "--homepath=/opt", "--config=/etc/x", "cfg:a=b", "--debug"], 1, 2)
    given = host.arguments(process, ["server", "--homepath"], ["cfg:server.http_port=" + host.PORT], 1234)
    assert given == ["/opt/grafana", "server", "--homepath=/opt", "cfg:server.http_port=1234"]


def test_a_unit_sees_what_was_restored_and_reaches_the_loopback_alone():
    process = host.Process(["/usr/local/bin/prometheus"], 998, 997)
    options = host.unit_properties(process, MOUNTS, "/var/lib/prometheus", LIMITS)
    for wanted in (
        *("User=998", "MemoryMax=2147483648", "CPUQuota=50%", "IPAddressDeny=any", "IPAddressAllow=localhost"),
        "BindPaths=/scratch/p/data:/var/lib/prometheus",
        "BindReadOnlyPaths=/scratch/p/etc:/etc/prometheus",
        "RuntimeMaxSec=3600",
    ):
        assert options[options.index(wanted) - 1] == "-p"


def test_a_container_sees_the_same():
    process = host.Process(["/bin/prometheus", "--config.file=/etc/x"], 998, 997, "sha256:1")
    body = host.container_body(process, ["/bin/prometheus", "--a"], MOUNTS, "/var/lib/prometheus", LIMITS, {"A": ""})
    assert (body["Image"], body["User"], body["Entrypoint"], body["Cmd"]) == (
        "sha256:1", "998:997", ["/bin/prometheus"], ["--a"]
    )  # fmt: skip
    assert body["Env"] == ["A="]
    limits = body["HostConfig"]
    assert (limits["Memory"], limits["NanoCpus"]) == (2 << 30, 500000000)
    assert limits["Binds"] == [
        "/scratch/p/data:/var/lib/prometheus:rw", "/scratch/p/etc:/etc/prometheus:ro"
    ]  # fmt: skip


def test_the_newest_moment_of_blocks(tmp_path):
    assert host.newest_of(str(tmp_path)) is None
    for name, end in (("a", 7200000), ("b", 14400000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "meta.json").write_text(json.dumps({"maxTime": end}))
    assert host.newest_of(str(tmp_path)) == 14399.999
    (tmp_path / "b" / "meta.json").write_text("{")
    with pytest.raises(BackupError, match="not restored completely"):
        host.newest_of(str(tmp_path))


def test_where_it_did_not_run_at_the_end_of_a_block_is_looked_further_back():
    """It was off from 6000 s on: the block, and the time of each query after that, have no samples."""
    asked = []

    def ask(moment):
        asked.append(moment)
        result = [{"value": [moment, "1"]}] if moment < 6100 else []
        return {"series": {"status": 200, "text": json.dumps({"data": {"result": result}})}}

    moment, answers = host.with_samples(ask, 7199.999)
    assert moment == pytest.approx(6000, abs=host.WINDOW) == asked[-1]
    assert len(asked) == 11 and json.loads(answers["series"]["text"])["data"]["result"] == [{"value": [moment, "1"]}]
    nothing = {"series": {"status": 200, "text": '{"data": {"result": []}}'}}
    assert host.with_samples(lambda moment: nothing, 7199.999) == (7199.999, nothing)
    refused = {"series": {"status": 422, "text": "x"}}
    assert host.with_samples(lambda moment: refused, 7199.999) == (7199.999, refused)


def test_of_what_was_restored_only_files_directories_and_links_are_given_away(tmp_path):
    """What a deployment has linked to is seen by the rehearsed service, and made again after a restore."""
    for keeps in (True, False):
        folder = tmp_path / str(keeps)
        (folder / "plugins").mkdir(parents=True)
        os.mkfifo(folder / "plugins/pipe")
        (folder / "plugins/deployed").symlink_to("/opt/plugin")
        (folder / "plugins/own").symlink_to("/opt/plugin")
        os.chown(folder / "plugins/own", 1, 1, follow_symlinks=False)
        give(str(folder), 2, 3, keeps_links=keeps)
        left = {path.name: (path.lstat().st_uid, path.lstat().st_gid) for path in folder.rglob("*")}
        assert left == {"plugins": (2, 3), "own": (2, 3), **({"deployed": (0, 0)} if keeps else {})}


@pytest.mark.parametrize(
    ("restored", "running", "bad", "words"),
    [
        (Figure("series", 5, True), Figure("series", 5, True), False, "5 series, and 5 of the running service"),
        (Figure("series", 4, True), Figure("series", 5, True), True, "4 series, and 5 of the running service"),
        (Figure("series", 6, True), Figure("series", 5, True), True, "6 series"),
        (Figure("series", 0, True), Figure("series", 0, True), True, "of the running service: nothing was compared"),
        # Deployed since the backup.
        (Figure("rules", 4), Figure("rules", 5), False, "4 rules, and 5 of the running service"),
        (Figure("rules", 0), Figure("rules", 5), True, "0 rules"),
        (Figure("rules", 0), Figure("rules", 0), False, "0 rules"),
        (Figure("silences", ["a", "b", "c"]), Figure("silences", ["a", "b"]), False, "2 of 2 silences"),
        (Figure("silences", ["a"]), Figure("silences", list("abcde")), True, "(missing: b, c, d and 1 more)"),
    ],
)
def test_what_a_comparison_means(restored, running, bad, words):
    good, missing = _rehearsal.compare([restored], [running])
    assert (bool(good), bool(missing)) == (not bad, bad)
    assert words in (good + missing)[0]


def test_what_was_compared_is_counted_and_written():
    """Names count where the running service has them, too."""
    restored, running = (
        [Figure("rules", 4), Figure("silences", list("abx"))],
        [Figure("rules", 5), Figure("silences", list("abc"))],
    )
    items = _rehearsal.counted(restored, running)
    assert items == [["rules", 4, 5], ["silences", 2, 3]]
    figures = {"prometheus": {"size": 7, "seconds": 1.5, "items": items}}
    text = restore_test.metrics_text('m"1', NOW + 0.5, {"short": "abcd0001", "time": NOW - 60}, figures)
    start = "monitoring_restore_test_"
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    of = 'backup="m\\"1",service="prometheus"'
    assert lines == [
        f'{start}success_timestamp_seconds{{backup="m\\"1"}} {NOW}',
        f'{start}snapshot_timestamp_seconds{{backup="m\\"1",snapshot="abcd0001"}} {NOW - 60}',
        f"{start}size_bytes{{{of}}} 7.0",
        f"{start}duration_seconds{{{of}}} 1.5",
        f'{start}items{{{of},what="rules",of="restored"}} 4.0',
        f'{start}items{{{of},what="rules",of="running"}} 5.0',
        f'{start}items{{{of},what="silences",of="restored"}} 2.0',
        f'{start}items{{{of},what="silences",of="running"}} 3.0',
    ]
    assert text.count("# TYPE") == 5
    # Without figures, that it has succeeded.
    assert restore_test.metrics_text("m", NOW, {}, {}).count("# TYPE") == 1


def test_what_could_not_be_read_is_said():
    answers = {"series": {"status": 422, "text": "too many samples\n"}, "rules": {"status": 200, "text": "{}"}}
    assert _rehearsal.unanswered(answers) == ["series: HTTP 422 too many samples"]


def test_what_rooms_say():
    services, words = _rehearsal.services_of(["prometheus", "alertmanager", "node_exporter"], Inputs)
    alertmanager, prometheus = services
    assert words == [] and (alertmanager["service"], prometheus["service"]) == ("alertmanager", "prometheus")
    # No notification is sent, and nobody is scraped.
    config = json.loads(prometheus["files"]["restore_test.yml"])
    assert list(config) == ["rule_files"]
    assert json.loads(alertmanager["files"]["restore_test.yml"])["receivers"] == [{"name": "nobody"}]
    assert "--cluster.listen-address=" in alertmanager["arguments"]
    for one in services:
        assert "--web.listen-address=127.0.0.1:" + host.PORT in one["arguments"]
    assert (prometheus["has_blocks"], alertmanager["has_blocks"]) == (True, False)
    assert _rehearsal.services_of(["prometheus"], lambda name: Inputs(name, state="absent")) == ([], [])


def test_figures_of_prometheus():
    answers = {
        "series": json.dumps({"data": {"result": [{"value": [1, "7"]}]}}),
        "samples": json.dumps({"data": {"result": []}}),
        "rules": json.dumps({"data": {"groups": [{"rules": [1, 2]}, {"rules": [3]}]}}),
    }
    found = room("prometheus").rehearsal_figures(answers, None)
    assert [(one.value, one.exact) for one in found] == [(7, True), (0, True), (2, False), (3, False)]
    # A server without a block yet.
    assert len(room("prometheus").rehearsal_figures({"rules": answers["rules"]}, None)) == 2


def test_figures_of_alertmanager():
    """A silence that was made, or changed, after the backup is in no backup."""
    silences = [
        {"id": "old", "updatedAt": "2026-11-27T10:00:00.123Z", "status": {"state": "active"}},
        {"id": "young", "updatedAt": "2026-11-27T17:20:00.123456789Z", "status": {"state": "pending"}},
        {"id": "gone", "updatedAt": "2026-11-27T10:00:00Z", "status": {"state": "expired"}},
    ]
    answers = {"silences": json.dumps(silences)}
    (running,) = room("alertmanager").rehearsal_figures(answers, NOW)
    (restored,) = room("alertmanager").rehearsal_figures(answers, None)
    assert (running.value, restored.value) == (["old"], ["old", "young", "gone"])


def test_figures_of_grafana():
    stats = json.dumps({"dashboards": 3, "users": 2, "datasources": 1, "orgs": 1})
    found = room("grafana").rehearsal_figures({"what it has": stats}, None)
    assert [(one.title, one.value) for one in found] == [("dashboards", 3), ("users", 2), ("datasources", 1)]
