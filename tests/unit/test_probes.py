# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From monitoring_probes to scrape jobs, and to what is then expected."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _scrape
from ansible_collections.vigil.monitoring.plugins.plugin_utils._probes import probe_jobs

GROUPS = {"blackbox_exporter": {"service": "blackbox_exporter", "port": 9115}}
MODULES = ("http_2xx", "tcp_connect", "icmp")
WEB = {"module": "http_2xx", "targets": ["https://example.org/"]}


def jobs(hosts, groups=None, own_host=None, scrape_groups=None, **more):
    inventory = {"all": list(hosts), "blackbox_exporter": ["mon"], **(groups or {})}
    return probe_jobs(
        GROUPS if scrape_groups is None else scrape_groups,
        inventory,
        lambda host, name: hosts[host].get(name),
        own_host,
        default_modules=lambda: MODULES,
        **more,
    )


def test_relabelling_is_done():
    (job,) = jobs({"mon": {"monitoring_address": "192.0.2.1"}, "a": {"monitoring_probes": [WEB]}})
    assert job["job_name"] == "blackbox_http_2xx"
    assert job["file"] == "file_sd/inventory/blackbox_http_2xx.yml"
    assert job["config"] == {
        "job_name": "blackbox_http_2xx",
        "metrics_path": "/probe",
        "scheme": "http",
        "params": {"module": ["http_2xx"]},
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": "192.0.2.1:9115"},
        ],
    }
    assert job["targets"] == [{"targets": ["https://example.org/"], "labels": {}}]


def test_probes_are_expected_by_their_instance_and_not_as_a_pool():
    hosts = {"mon": {"monitoring_probes": [WEB]}}
    inventory = {"all": ["mon"], "blackbox_exporter": ["mon"]}
    found = _scrape.plan(GROUPS, inventory, lambda host, name: hosts[host].get(name), probes=jobs(hosts))
    assert {"job": "blackbox_http_2xx", "instance": "https://example.org/"} in found["expected"]
    assert found["pools"] == []
    assert "instances" not in found["jobs"][1]


def test_a_job_of_the_users_own_replaces_that_of_the_probes():
    hosts = {"mon": {"monitoring_probes": [WEB]}}
    own = [{"job_name": "blackbox_http_2xx", "static_configs": [{"targets": ["x:1"]}]}]
    found = _scrape.plan(
        {}, {"all": ["mon"]}, lambda host, name: hosts[host].get(name), scrape_configs=own, probes=jobs(hosts)
    )
    assert found["overridden"] == ["blackbox_http_2xx"]
    assert found["expected"] == [{"job": "blackbox_http_2xx", "instance": "x:1"}]


def test_a_group_that_wants_the_name_of_a_probes_job_is_refused():
    hosts = {"mon": {"monitoring_probes": [WEB]}}
    with pytest.raises(_scrape.ScrapeError, match="blackbox_http_2xx is one of probes"):
        _scrape.plan(
            {"web": {"job": "blackbox_http_2xx", "port": 1}},
            {"all": ["mon"], "web": ["mon"]},
            lambda host, name: hosts[host].get(name),
            probes=jobs(hosts),
        )


def test_a_list_of_a_group_counts_once_and_a_hosts_own_list_besides():
    shared = [WEB]
    hosts = {"mon": {}, "a": {"monitoring_probes": shared}, "b": {"monitoring_probes": list(shared)}}
    hosts["c"] = {"monitoring_probes": [{"module": "tcp_connect", "targets": ["c:22"]}]}
    assert [job["instances"] for job in jobs(hosts)] == [["https://example.org/"], ["c:22"]]


def test_a_probe_for_each_host_of_a_group():
    hosts = {"mon": {"monitoring_probes": [{
        "name": "app", "module": "http_2xx", "group": "web", "targets": ["http://{address}:8000/?of={host}"],
        "labels": {"tier": "front"}}]}}  # fmt: skip
    hosts["a"] = {"ansible_host": "192.0.2.7", "monitoring_labels": {"tier": "back", "rack": 1}}
    hosts["b"] = {"monitoring_address": "2001:db8::7"}
    (job,) = jobs(hosts, {"web": ["a", "b"]})
    assert job["targets"] == [
        {
            "targets": ["http://192.0.2.7:8000/?of=a"],
            "labels": {"host": "a", "probe": "app", "rack": "1", "tier": "front"},
        },
        {"targets": ["http://[2001:db8::7]:8000/?of=b"], "labels": {"host": "b", "probe": "app", "tier": "front"}},
    ]


def test_a_target_that_is_the_same_for_all_hosts_of_a_group_bears_the_name_of_none():
    probe = {"module": "http_2xx", "group": "web", "targets": ["https://example.org"]}
    hosts = {"mon": {"monitoring_probes": [probe]}, "a": {}, "b": {}}
    assert [found["labels"] for found in jobs(hosts, {"web": ["a", "b"]})[0]["targets"]] == [{}]
    probe.update(targets=["http://{address}/"], labels={"host": None})
    assert [found["labels"] for found in jobs(hosts, {"web": ["a", "b"]})[0]["targets"]] == [{}]


def test_an_address_alone_has_no_brackets():
    hosts = {"mon": {"monitoring_probes": [{"module": "icmp", "group": "web", "targets": ["{address}"]}]}}
    hosts["b"] = {"monitoring_address": "2001:db8::7"}
    assert jobs(hosts, {"web": ["b"]})[0]["instances"] == ["2001:db8::7"]


@pytest.mark.parametrize(
    ("own_host", "variables", "address"),
    [
        ("other", {}, "mon:9115"),
        ("two", {}, "two:9115"),
        ("two", {"two": {"blackbox_exporter_web_listen_address": "127.0.0.1:9200"}}, "127.0.0.1:9200"),
        ("other", {"mon": {"blackbox_exporter_state": "absent"}}, "two:9115"),
        # That it is not scraped itself does not keep it from probing.
        ("other", {"mon": {"monitoring_scrape": {"blackbox_exporter": False}}}, "mon:9115"),
    ],
)
def test_who_probes(own_host, variables, address):
    hosts = {"mon": {}, "two": {}, "other": {"monitoring_probes": [WEB]}}
    hosts.update({host: {**hosts[host], **given} for host, given in variables.items()})
    (job,) = jobs(hosts, {"blackbox_exporter": ["mon", "two"]}, own_host)
    assert job["config"]["relabel_configs"][-1]["replacement"] == address


def test_the_exporters_door_is_the_same_as_when_it_is_scraped_itself():
    hosts = {"mon": {"monitoring_probes": [WEB], "blackbox_exporter_tls_server_config": {"cert_file": "c"},
                     "blackbox_exporter_cli_flags": {"web.route-prefix": "/bb"}}}  # fmt: skip
    groups = {"blackbox_exporter": {**GROUPS["blackbox_exporter"], "config": {"basic_auth": {"username": "u"}, "x": 1}}}
    config = jobs(hosts, scrape_groups=groups)[0]["config"]
    assert (config["scheme"], config["metrics_path"], config["basic_auth"]) == ("https", "/bb/probe", {"username": "u"})
    assert "x" not in config
    assert jobs(hosts, scrape_groups={})[0]["config"]["scheme"] == "https"


@pytest.mark.parametrize(
    ("probes", "words"),
    [
        ("http_2xx", "must be a list of probes"),
        (["http_2xx"], "has to be a mapping"),
        ([{"module": "http_2xx", "target": ["x"]}], "did you mean 'targets'?"),
        ([{"targets": ["x"]}], "has no module; set one"),
        ([{"module": "http_2x", "targets": ["x"]}], "no module 'http_2x'; did you mean 'http_2xx'?"),
        ([{"module": "icmp", "targets": "x"}], "targets must be a list"),
        ([{"module": "icmp", "targets": []}], "targets must be a list"),
        ([{"module": "icmp", "targets": ["{address}"]}], "no group is set for it"),
        ([{"module": "icmp", "targets": ["{adress}"], "group": "all"}], "known are {address} and {host}"),
        ([{"module": "icmp", "targets": ["x"], "group": "al"}], "no group 'al'; did you mean 'all'?"),
        ([{"module": "icmp", "targets": ["x"], "labels": {"": 1}}], "is not a valid label name"),
    ],
)
def test_a_probe_that_cannot_work_is_named(probes, words):
    with pytest.raises(_scrape.ScrapeError) as caught:
        jobs({"mon": {"monitoring_probes": probes}})
    assert str(caught.value).startswith("monitoring_probes of mon")
    assert words in str(caught.value)


def test_modules_of_the_exporters_own_variables_count():
    hosts = {"mon": {"blackbox_exporter_configuration_modules": {"mine": {}}, "monitoring_probes": [WEB]}}
    with pytest.raises(_scrape.ScrapeError, match="known are mine"):
        jobs(hosts)


def test_probes_need_an_exporter():
    with pytest.raises(_scrape.ScrapeError, match="no host in the group blackbox_exporter"):
        jobs({"a": {"monitoring_probes": [WEB]}}, {"blackbox_exporter": []})


def test_ten_thousand_hosts_that_share_a_list_are_no_work():
    shared = [WEB]
    hosts = {"h%d" % number: {"monitoring_probes": shared} for number in range(10000)}
    hosts["mon"] = {}
    assert len(jobs(hosts)[0]["instances"]) == 1


# The certificates of all that is closed

CLIENT = {"certificate": {"tls_config": {"cert_file": "c"}}, "password": {"basic_auth": {"username": "p"}}}
ALL = {
    "node_exporter": {"job": "node", "service": "node_exporter", "port": 9100},
    "prometheus": {"service": "prometheus", "port": 9090},
    "cadvisor": {"service": "cadvisor", "port": 8080},
    **GROUPS,
}


def closed_jobs(own=None, **more):
    shared = {"monitoring_tls": True}
    hosts = {host: {**shared, **(own or {}).get(host, {})} for host in ("mon", "a", "b")}
    members = {"node_exporter": ["a", "b"], "prometheus": ["mon"], "cadvisor": ["a"]}
    found = jobs(hosts, members, scrape_groups=ALL, client=CLIENT, **more)
    return {job["job_name"]: job for job in found}


def looked_at(own):
    return {target for one in closed_jobs(own)["blackbox_tls_certificate"]["targets"] for target in one["targets"]}


def test_the_certificates_of_all_that_is_closed_are_looked_at():
    job = closed_jobs()["blackbox_tls_certificate"]
    found = {target: one["labels"] for one in job["targets"] for target in one["targets"]}
    assert found == {
        "a:9100": {"host": "a", "probe": "node_exporter"},
        "b:9100": {"host": "b", "probe": "node_exporter"},
        "a:18080": {"host": "a", "probe": "cadvisor"},
        "mon:9090": {"host": "mon", "probe": "prometheus"},
        "mon:9115": {"host": "mon", "probe": "blackbox_exporter"},
    }
    # Rarely, and with the certificate that Prometheus shows.
    assert job["config"]["scrape_interval"] == "2m" and job["config"]["tls_config"] == {"cert_file": "c"}
    assert job["config"]["params"] == {"module": ["tls_certificate"]} and job["closed"]
    # The verification does not wait two minutes for them: it looks at certificates itself.
    assert job["instances"] == []


@pytest.mark.parametrize("own", [{"monitoring_tls": False}, {"blackbox_exporter_tls": False}])
def test_without_a_certificate_of_its_own_the_exporter_looks_at_none(own):
    assert closed_jobs({"mon": own}) == {}


def test_what_is_open_has_no_certificate():
    found = looked_at({"b": {"node_exporter_tls": False}})
    assert "b:9100" not in found and "a:9100" in found
    own = {"cert_file": "c", "key_file": "k"}
    assert "b:9100" in looked_at({"b": {"node_exporter_tls_server_config": own}})


def test_beside_the_users_own_probes():
    found = closed_jobs({"a": {"monitoring_probes": [WEB, {"module": "tls_certificate", "targets": ["shop:443"]}]}})
    assert sorted(found) == ["blackbox_http_2xx", "blackbox_tls_certificate"]
    assert "scrape_interval" not in found["blackbox_http_2xx"]["config"]
    assert found["blackbox_tls_certificate"]["instances"] == ["shop:443"]
