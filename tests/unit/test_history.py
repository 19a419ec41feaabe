# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of time series that end under their old names."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._history import ended
from ansible_collections.vigil.monitoring.plugins.module_utils._summary import ended_words
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._prometheus_history import jobs_of


def job(*targets, relabelling="", **labels):
    return {"targets": {one: dict(labels) for one in targets}, "relabelling": relabelling}


THREE = ("a:9100", "b:9100", "c:9100")
NODE = {"node": job(*THREE, env="prod")}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (None, NODE, []),
        ({}, NODE, []),
        (NODE, None, []),
        (NODE, NODE, []),
        (NODE, {**NODE, "more": job("d:1")}, []),
        (NODE, {"node": job(*THREE, "d:9100", env="prod")}, []),
        (NODE, {"nodes": NODE["node"]}, ["job node is now called nodes (a:9100, b:9100, c:9100)"]),
        (NODE, {}, ["job node is gone (a:9100, b:9100, c:9100)"]),
        (NODE, {"other": job("x:1")}, ["job node is gone (a:9100, b:9100, c:9100)"]),
        (NODE, {"node": job("a:9101", "b:9101", "c:9100", env="prod")}, ["job node: port 9100 is now 9101 (a:9100, b:9100)"]),
        (NODE, {"node": job("c:9100", env="prod")}, ["job node: no longer scraped: a:9100, b:9100"]),
        (NODE, {"node": job("a:9100", "b:9100", "d:9100", env="prod")}, ["job node: no longer scraped: c:9100"]),
        (NODE, {"node": job(*THREE, env="live")}, ["job node: label env=prod is now env=live (a:9100, b:9100, c:9100)"]),
        (NODE, {"node": job(*THREE)}, ["job node: label env=prod is gone (a:9100, b:9100, c:9100)"]),
        (NODE, {"node": job(*THREE, env="prod", dc="1")}, ["job node: label dc=1 is new (a:9100, b:9100, c:9100)"]),
        (NODE, {"node": job(*THREE, env="prod", relabelling="x")},
         ["job node: its relabelling changed, and with it maybe the labels of a:9100, b:9100, c:9100"]),
        ({"node": job(*(f"h{n}:1" for n in range(9)))}, {}, ["job node is gone (h0:1, h1:1, h2:1 and 6 more)"]),
        ({"sd": job()}, {}, ["job sd is gone (without targets of its own)"]),
        # Renamed, and a label of it changed as well.
        (NODE, {"nodes": job(*THREE, env="live")},
         ["job node is now called nodes (a:9100, b:9100, c:9100)",
          "job nodes: label env=prod is now env=live (a:9100, b:9100, c:9100)"]),
        # Of two jobs that are gone, only one has got the new name.
        ({"one": job("a:1"), "two": job("a:1")}, {"new": job("a:1")}, ["job one is now called new (a:1)", "job two is gone (a:1)"]),
        # Without a port there is nothing to compare.
        ({"x": job("a")}, {"x": job("b")}, ["job x: no longer scraped: a"]),
    ],
)  # fmt: skip
def test_what_ends(old, new, said):
    assert ended(old, new) == said


def test_jobs_of_a_configuration():
    jobs = [
        {"job_name": "a", "static_configs": [{"targets": ["h:1", "http://u:secret@h/x"], "labels": {"n": 1}}]},
        {"job_name": "b", "file_sd_configs": [{"files": ["file_sd/b*.yml"]}], "relabel_configs": [{"action": "drop"}]},
        {"job_name": "c", "dns_sd_configs": [{}]},
    ]
    entries = [
        {"path": "file_sd/b1.yml", "data": [{"targets": ["h:2"]}]},
        {"path": "file_sd/b2.yml", "content": "- targets: [h:3]\n  labels: {x: y}\n"},
        {"path": "file_sd/c.yml", "content": "{"},
        {"path": "file_sd/b3.yml", "content": "[{"},
        {"path": "prometheus.yml", "content": ""},
    ]
    found = jobs_of(jobs, entries)
    assert found["a"]["targets"] == {"h:1": {"n": "1"}, "http://********@h/x": {"n": "1"}}
    assert found["b"]["targets"] == {"h:2": {}, "h:3": {"x": "y"}}
    assert found["c"]["targets"] == {} and found["a"]["relabelling"] == found["c"]["relabelling"]
    assert found["b"]["relabelling"] != found["a"]["relabelling"]


def test_only_who_scrapes_has_a_history():
    assert [name for name in _rooms.names() if type(_rooms.load(name)).history is not _rooms.Service.history] == [
        "prometheus"
    ]


def test_what_is_said_once_for_several_servers():
    found = {
        ("prometheus", "m1"): ["x"],
        ("prometheus", "m2"): ["x", "y"],
        ("other", "m3"): [str(n) for n in range(12)],
    }
    words = ended_words(found)
    assert "prometheus on m1, m2: history ends under the old name: x" in words
    assert "prometheus on m2: history ends under the old name: y" in words
    assert "other on m3: history ends under the old name: and 2 more" in words and len(words) == 13
    assert ended_words({("prometheus", "m1"): ["x"]}, True) == [
        "prometheus on m1: history would end under the old name: x"
    ]
    assert ended_words({}) == []
