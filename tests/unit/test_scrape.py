# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From inventory groups to jobs, targets and expectations."""

from __future__ import annotations

import pytest
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _scrape
from ansible_collections.vigil.monitoring.plugins.plugin_utils._shards import Shard

NODE = {"node_exporter": {"job": "node", "service": "node_exporter", "port": 9100}}


def planned(groups, hosts, inventory=None, **more):
    """The plan for hosts given as name -> variables; every group has all of them unless said otherwise."""
    inventory = inventory or {group: list(hosts) for group in groups}
    return _scrape.plan(_scrape.merge_groups([groups]), inventory, lambda host, name: hosts[host].get(name), **more)


def targets(groups, hosts, **more):
    return planned(groups, hosts, **more)["jobs"][0]["targets"]


@pytest.mark.parametrize(
    "variables, instance",
    [
        ({}, "web:9100"),
        ({"ansible_host": "10.0.0.1"}, "10.0.0.1:9100"),
        ({"ansible_host": "10.0.0.1", "monitoring_address": "web.example.com"}, "web.example.com:9100"),
        ({"monitoring_address": "2001:db8::1"}, "[2001:db8::1]:9100"),
        ({"monitoring_address": "[2001:db8::1]"}, "[2001:db8::1]:9100"),
        ({"node_exporter_web_listen_address": ":9200"}, "web:9200"),
        ({"node_exporter_web_listen_address": "[::]:9200"}, "web:9200"),
        ({"node_exporter_web_listen_address": ["0.0.0.0:9300", "[::1]:9400"]}, "web:9300"),
        ({"node_exporter_web_listen_address": "127.0.0.1:9200"}, "web:9200"),
        ({"monitoring_scrape": {"node_exporter": {"port": 1, "address": "x"}}}, "x:1"),
        ({"monitoring_scrape": {"node_exporter": {"port": "1"}}, "node_exporter_web_listen_address": ":2"}, "web:1"),
    ],
)
def test_where_a_target_is(variables, instance):
    assert targets(NODE, {"web": variables}) == [{"targets": [instance], "labels": {"host": "web"}}]
    assert planned(NODE, {"web": variables})["expected"] == [{"job": "node", "instance": instance}]


def test_prometheus_reaches_its_own_hosts_loopback():
    hosts = {"a": {"node_exporter_web_listen_address": "127.0.0.1:9100"}}
    assert targets(NODE, hosts, own_host="a")[0]["targets"] == ["127.0.0.1:9100"]
    assert targets(NODE, hosts, own_host="b")[0]["targets"] == ["a:9100"]


def test_a_target_bears_its_hosts_name_in_the_inventory():
    """Its address need not tell; whoever wants another name, another label or none says so, for one host or for all."""
    hosts = {
        "a": {"ansible_host": "192.0.2.1"},
        "b": {"ansible_host": "192.0.2.2", "monitoring_labels": {"host": "shop-db"}},
        "c": {"ansible_host": "192.0.2.3", "monitoring_labels": {"host": None, "node": "c"}},
        "d": {"ansible_host": "192.0.2.4", "monitoring_scrape": {"web": {"labels": {"host": None}}}},
    }
    web = {"web": {"port": 80}}
    assert {found["targets"][0]: found["labels"] for found in targets(web, hosts)} == {
        "192.0.2.1:80": {"host": "a"},
        "192.0.2.2:80": {"host": "shop-db"},
        "192.0.2.3:80": {"node": "c"},
        "192.0.2.4:80": {},
    }
    (job,) = planned({"web": {"port": 80, "labels": {"host": None}}}, {"a": {}, "b": {}})["jobs"]
    assert job["targets"] == [{"targets": ["a:80", "b:80"], "labels": {}}]
    # What is expected afterwards is told by job and instance, whatever the label says.
    assert planned(web, {"a": hosts["b"]})["expected"] == [{"job": "web", "instance": "192.0.2.2:80"}]


def test_null_takes_away_a_label_that_the_group_gives():
    groups = {"web": {"port": 80, "labels": {"env": "prod", "host": None}}}
    assert targets(groups, {"a": {"monitoring_labels": {"env": None}}})[0]["labels"] == {}


def test_one_group_of_targets_for_each_set_of_labels():
    groups = {"web": {"port": 80, "labels": {"env": "prod", "tier": "front", "host": None}}}
    hosts = {
        "c": {},
        "a": {"monitoring_labels": {"rack": 7, "spare": True}},
        "b": {"monitoring_scrape": {"web": {"labels": {"tier": "back"}}}},
        "d": {},
    }
    assert targets(groups, hosts) == [
        {"targets": ["a:80"], "labels": {"env": "prod", "rack": "7", "spare": "true", "tier": "front"}},
        {"targets": ["b:80"], "labels": {"env": "prod", "tier": "back"}},
        {"targets": ["c:80", "d:80"], "labels": {"env": "prod", "tier": "front"}},
    ]


def test_path_and_scheme_of_the_many_are_the_jobs_and_of_the_few_their_own():
    hosts = {"a": {}, "b": {}, "c": {"monitoring_scrape": {"web": {"path": "/m", "scheme": "https"}}}}
    (job,) = planned({"web": {"port": 80, "path": "/x", "labels": {"host": None}}}, hosts)["jobs"]
    assert job["config"] == {"job_name": "web", "metrics_path": "/x", "scheme": "http"}
    assert job["targets"] == [
        {"targets": ["a:80", "b:80"], "labels": {}},
        {"targets": ["c:80"], "labels": {"__metrics_path__": "/m", "__scheme__": "https"}},
    ]


@pytest.mark.parametrize(
    "variables, path, scheme",
    [
        ({}, "/metrics", "http"),
        ({"prometheus_web_external_url": "https://example.com/prom/"}, "/prom/metrics", "http"),
        ({"prometheus_web_external_url": "https://example.com"}, "/metrics", "http"),
        (
            {"prometheus_web_external_url": "/prom", "prometheus_config_flags_extra": {"web.route-prefix": "/"}},
            "/metrics",
            "http",
        ),
        ({"prometheus_config_flags_extra": {"web.route-prefix": "/p"}}, "/p/metrics", "http"),
        ({"prometheus_metrics_path": "/own"}, "/own", "http"),
        ({"prometheus_web_config": {"tls_server_config": {"cert_file": "x"}}}, "/metrics", "https"),
        ({"prometheus_web_config": {"tls_server_config": {}}}, "/metrics", "http"),
        ({"prometheus_tls_server_config": {"cert_file": "x"}}, "/metrics", "https"),
        ({"prometheus_web_telemetry_path": "/t"}, "/t", "http"),
    ],
)
def test_a_services_own_variables_say_path_and_scheme(variables, path, scheme):
    (job,) = planned({"prometheus": {"service": "prometheus", "port": 9090}}, {"a": variables})["jobs"]
    assert (job["config"]["metrics_path"], job["config"]["scheme"]) == (path, scheme)


@pytest.mark.parametrize(
    "variables, target, path",
    [
        ({}, "a:8080", "/metrics"),
        ({"cadvisor_port": "8081", "cadvisor_prometheus_endpoint": "/m"}, "a:8081", "/m"),
        ({"cadvisor_listen_ip": "[::]", "cadvisor_port": 8081}, "a:8081", "/metrics"),
    ],
)
def test_cadvisors_address_is_two_variables(variables, target, path):
    (job,) = planned({"cadvisor": {"service": "cadvisor", "port": 8080}}, {"a": variables})["jobs"]
    assert [found["targets"] for found in job["targets"]] == [[target]]
    assert job["config"]["metrics_path"] == path


def test_a_cadvisor_that_listens_on_the_loopback_is_its_own_hosts():
    variables = {"a": {"cadvisor_listen_ip": "127.0.0.1"}}
    (found,) = targets({"cadvisor": {"service": "cadvisor", "port": 8080}}, variables, own_host="a")
    assert found["targets"] == ["127.0.0.1:8080"]


@pytest.mark.parametrize("listening, port", [(None, 9187), (9200, 9200), (":9201", 9201), ("10.0.0.1:9202", 9202)])
def test_port_from_a_host_variable(listening, port):
    groups = {"db": {"port": 9187, "port_from": "exporter_address"}}
    assert targets(groups, {"a": {"exporter_address": listening}})[0]["targets"] == [f"a:{port}"]


def test_groups_of_one_job_are_merged_and_a_host_in_both_is_one_target():
    groups = {
        "postgresql": {"job": "postgresql", "port": 9187, "labels": {"role": "db"}},
        "postgres_exporter": {"job": "postgresql", "port": 9187, "labels": {"kind": "x"}},
    }
    inventory = {"postgresql": ["a", "b"], "postgres_exporter": ["b"]}
    (job,) = planned(groups, {"a": {}, "b": {}}, inventory)["jobs"]
    assert job["targets"] == [
        {"targets": ["a:9187"], "labels": {"host": "a", "role": "db"}},
        {"targets": ["b:9187"], "labels": {"host": "b", "kind": "x", "role": "db"}},
    ]


def test_hosts_that_are_none():
    hosts = {
        "a": {"monitoring_scrape": {"node_exporter": False}},
        "b": {"monitoring_scrape": {"node_exporter": {"enabled": False}}},
        "c": {"node_exporter_state": "absent"},
        "d": {"monitoring_scrape": {"other": False}},
    }
    assert targets(NODE, hosts) == [{"targets": ["d:9100"], "labels": {"host": "d"}}]


def test_groups_without_hosts_make_no_job():
    assert planned(NODE, {}, {"node_exporter": []})["jobs"] == []
    assert planned(NODE, {}, {"other": ["a"]})["jobs"] == []
    assert planned({"x": {"port": 1, "enabled": False}}, {"a": {}})["jobs"] == []


def test_a_later_mapping_replaces_and_drops_groups():
    merged = _scrape.merge_groups(
        [{"a": {"port": 1}, "b": {"port": 2}, "c": {"port": 3}}, None, {"b": {"port": 9}, "c": None}]
    )
    assert merged == {"a": {"port": 1}, "b": {"port": 9}}


@pytest.mark.parametrize(
    "groups, variables, words",
    [
        ({"web": {"prot": 80}}, {}, "prometheus_scrape_groups.web has no key 'prot'; did you mean 'port'?"),
        ({"web": {}}, {}, "says no port"),
        ({"web": {"port": "http"}}, {}, "prometheus_scrape_groups.web.port is 'http'"),
        ({"web": {"port": 70000}}, {}, "has to be a port"),
        ({"web": {"port": True}}, {}, "has to be a port"),
        ({"web": {"port": 1, "path": "metrics"}}, {}, "a path begins with /"),
        ({"web": {"port": 1, "scheme": "ftp"}}, {}, "http or https"),
        ({"web": {"port": 1, "labels": {"": 1}}}, {}, "'' is not a valid label name"),
        ({"web": {"port": 1, "labels": ["a"]}}, {}, "mapping of names"),
        ({"web": {"port": 1, "config": {"scheme": "https"}}}, {}, "must not hold scheme"),
        ({"web": 5}, {}, "has to be a mapping"),
        ({"web": {"service": "web"}}, {}, "host a says no port"),
        ({"web": {"service": "web"}}, {"web_web_listen_address": "9100"}, "web_web_listen_address of a is '9100'"),
        ({"web": {"port": 1}}, {"monitoring_scrape": {"web": {"prt": 1}}}, "monitoring_scrape of a: web has no key"),
        ({"web": {"port": 1}}, {"monitoring_scrape": {"web": {"port": "x"}}}, "monitoring_scrape of a: web.port"),
        ({"web": {"port": 1}}, {"monitoring_address": "http://a"}, "no address"),
        ({"x": {"job": "j", "port": 1, "config": {"a": 1}}, "y": {"job": "j", "port": 1, "config": {"a": 2}}}, {},
         "x and y both make the job j"),
        ({"a/b": {"port": 1}, "a_b": {"port": 1}}, {}, "share the file"),
    ],
)  # fmt: skip
def test_nonsense_is_named(groups, variables, words):
    with pytest.raises(_scrape.ScrapeError) as raised:
        planned(groups, {"a": variables})
    assert words in str(raised.value)


@pytest.mark.parametrize("version", ["3.0.0", "3.16.0", None])
def test_a_label_may_have_any_name_that_the_version_takes(version):
    hosts = {"a": {"monitoring_labels": {"k8s.pod": 7, "größe": "x"}}}
    (found,) = planned(NODE, hosts, version=version)["jobs"][0]["targets"]
    assert found["labels"] == {"host": "a", "k8s.pod": "7", "größe": "x"}


def test_a_label_that_an_older_version_does_not_take_is_refused():
    with pytest.raises(_scrape.ScrapeError) as raised:
        planned(NODE, {"a": {"monitoring_labels": {"k8s.pod": 7}}}, version="2.53.3")
    said = "'k8s.pod', a label of a:9100 of the job node: write letters, digits and underscores, or deploy Prometheus 3.0.0"
    assert said in str(raised.value)
    assert planned(NODE, {"a": {"monitoring_labels": {"pod": 7}}}, version="2.53.3")["jobs"]


def test_a_users_job_of_the_same_name_wins():
    own = [{"job_name": "node", "static_configs": [{"targets": ["x:1"], "labels": {"a": "b"}}]}]
    plan = planned(NODE, {"a": {}}, scrape_configs=own)
    assert plan["jobs"] == [] and plan["overridden"] == ["node"]
    assert plan["expected"] == [{"job": "node", "instance": "x:1"}]


def test_a_users_targets_of_the_same_name_win():
    plan = planned(NODE, {"a": {}}, targets={"node": [{"targets": ["x:1"], "labels": {"instance": "i"}}]})
    (job,) = plan["jobs"]
    assert (job["file"], job["targets"], job["config"]["job_name"]) == ("file_sd/node.yml", None, "node")
    assert plan["expected"] == [{"job": "node", "instance": "i"}]
    plan = planned(NODE, {"a": {}}, target_files={"node.json": [{"targets": ["y:1"]}]})
    assert plan["jobs"][0]["file"] == "file_sd/node.json"
    assert plan["expected"] == [{"job": "node", "instance": "y:1"}]


def test_a_users_targets_that_no_job_reads_get_one():
    plan = planned({}, {}, targets={"app": [{"targets": ["x:1"]}]})
    assert plan["jobs"] == [
        {"job_name": "app", "file": "file_sd/app.yml", "config": {"job_name": "app"}, "targets": None}
    ]
    assert plan["expected"] == [{"job": "app", "instance": "x:1"}]


@pytest.mark.parametrize("name", ["app.yml", "app.yaml", "app.json", "app.JSON"])
def test_so_does_a_users_target_file(name):
    plan = planned({}, {}, target_files={name: [{"targets": ["x:1"]}]})
    assert plan["jobs"] == [
        {"job_name": "app", "file": "file_sd/" + name, "config": {"job_name": "app"}, "targets": None}
    ]
    assert plan["expected"] == [{"job": "app", "instance": "x:1"}]


def test_two_files_that_would_be_one_job_are_named():
    files = {"app.yml": [{"targets": ["x:1"]}], "app.json": [{"targets": ["y:1"]}]}
    with pytest.raises(
        _scrape.ScrapeError, match=r"the target file app\.yml would become the job app, which app\.json is"
    ):
        planned({}, {}, target_files=files)


def test_a_target_file_that_a_job_reads_gets_none_of_its_own():
    reads = [{"job_name": "mine", "file_sd_configs": [{"files": ["/etc/prometheus/file_sd/app.yml"]}]}]
    plan = planned({}, {}, target_files={"app.yml": [{"targets": ["x:1"]}]}, scrape_configs=reads)
    assert plan["jobs"] == []
    assert plan["expected"] == [{"job": "mine", "instance": "x:1"}]


@pytest.mark.parametrize("pattern", ["/etc/prometheus/file_sd/app.yml", "file_sd/*.yml", "app.yml"])
def test_a_users_targets_belong_to_the_job_that_reads_them(pattern):
    own = [{"job_name": "mine", "file_sd_configs": [{"files": [pattern]}]}]
    plan = planned({}, {}, scrape_configs=own, targets={"app": [{"targets": ["x:1"]}]})
    assert plan["jobs"] == [] and plan["expected"] == [{"job": "mine", "instance": "x:1"}]


def test_relabelled_jobs_are_judged_by_what_prometheus_makes_of_them():
    own = [{"job_name": "probe", "relabel_configs": [{}], "static_configs": [{"targets": ["https://x"]}]}]
    plan = planned({}, {}, scrape_configs=own)
    assert plan["expected"] == [] and plan["pools"] == ["probe"]


def test_discovered_targets_are_not_expected():
    assert planned({}, {}, scrape_configs=[{"job_name": "k", "kubernetes_sd_configs": [{}]}])["expected"] == []


@pytest.mark.parametrize("default_ports, instances", [(True, ["x:443", "y:9"]), (False, ["x", "y:9"])])
def test_before_version_3_prometheus_adds_ports(default_ports, instances):
    own = [{"job_name": "j", "scheme": "https", "static_configs": [{"targets": ["x", "y:9"]}]}]
    plan = planned({}, {}, scrape_configs=own, default_ports=default_ports)
    assert [entry["instance"] for entry in plan["expected"]] == instances


def test_alertmanagers():
    groups = {"alertmanager": {"service": "alertmanager", "port": 9093, "config": {"tls_config": {"ca_file": "c"}}}}
    hosts = {
        "b": {},
        "a": {"alertmanager_web_listen_address": "0.0.0.0:9094"},
        "c": {
            "alertmanager_web_external_url": "https://example.com/am",
            "alertmanager_web_config": {"tls_server_config": {"cert_file": "x"}},
        },
        "d": {"alertmanager_state": "absent"},
    }
    assert planned(groups, hosts)["alertmanagers"] == [
        {"scheme": "http", "tls_config": {"ca_file": "c"}, "static_configs": [{"targets": ["a:9094", "b:9093"]}]},
        {
            "scheme": "https",
            "path_prefix": "/am",
            "tls_config": {"ca_file": "c"},
            "static_configs": [{"targets": ["c:9093"]}],
        },
    ]
    assert planned({}, {"b": {}}, {"alertmanager": ["b"]})["alertmanagers"] == [
        {"scheme": "http", "static_configs": [{"targets": ["b:9093"]}]}
    ]
    assert planned(groups, {}, {})["alertmanagers"] == []


def test_the_order_of_hosts_does_not_matter():
    hosts = {f"h{n}": {"monitoring_labels": {"rack": n % 3}} for n in range(20)}
    backwards = dict(reversed(hosts.items()))
    assert planned(NODE, hosts) == planned(NODE, backwards)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"a": {}}, {"listen-address": ""}),
        ({"a": {}, "b": {"alertmanager_state": "absent"}}, {"listen-address": ""}),
        ({"b": {}, "c": {}}, {"listen-address": ""}),
        # A name cannot be advertised.
        ({"a": {}, "b": {}}, {"listen-address": "0.0.0.0:9094", "peers": ["b:9094"]}),
        (
            {"c": {}, "a": {"ansible_host": "192.0.2.1"}, "b": {"monitoring_address": "2001:db8::1"}},
            {
                "listen-address": "0.0.0.0:9094",
                "advertise-address": "192.0.2.1:9094",
                "peers": ["[2001:db8::1]:9094", "c:9094"],
            },
        ),
    ],
)
def test_the_cluster_of_a_group(variables, expected):
    def value(host, name):
        return variables.get(host, {}).get(name)

    assert _scrape.cluster("a", list(variables), value) == expected
    # What it is proven against.
    known = len(expected.get("peers", ()))
    assert _scrape.members("a", list(variables), value) == (known + 1 if known else 0)


MUTUAL = {"cert_file": "c", "key_file": "k", "client_auth_type": "RequireAndVerifyClientCert"}


@pytest.mark.parametrize(
    "variables, variable",
    [
        ({"node_exporter_tls_server_config": MUTUAL}, "node_exporter_tls_server_config of web"),
        ({"node_exporter_web_config": {"tls_server_config": MUTUAL}}, "node_exporter_web_config of web"),
    ],
)
def test_a_target_that_wants_a_client_certificate_gets_one_or_is_refused(variables, variable):
    with pytest.raises(_scrape.ScrapeError, match=variable + ".*node_exporter.config.tls_config.cert_file"):
        planned(NODE, {"web": variables})
    shown = {"tls_config": {"cert_file": "/c", "key_file": "/k"}}
    groups = {"node_exporter": {**NODE["node_exporter"], "config": shown}}
    assert planned(groups, {"web": variables})["jobs"][0]["config"]["tls_config"] == shown["tls_config"]
    # A job of the user's own says itself how it asks.
    assert planned(NODE, {"web": variables}, scrape_configs=[{"job_name": "node"}])["overridden"] == ["node"]
    lenient = {**MUTUAL, "client_auth_type": "VerifyClientCertIfGiven"}
    assert planned(NODE, {"web": {"node_exporter_tls_server_config": lenient}})["jobs"]


def test_of_several_addresses_one_counts_that_others_reach():
    several = ["127.0.0.1:9100", "[::1]:9101", "10.0.0.9:9102"]
    assert _scrape.listen_address(several, "x") == ("10.0.0.9", 9102)
    assert _scrape.listen_address(several[:2], "x") == ("127.0.0.1", 9100)
    assert _scrape.listen_address(["127.0.0.1:1", "[::]:2"], "x") == ("", 2)


NUMBERED = {f"host-{number}": {} for number in range(40)}
STACK = {
    "node_exporter": {"job": "node", "port": 9100},
    "cadvisor": {"port": 8080},
    "prometheus": {"service": "prometheus", "port": 9090},
    "alertmanager": {"port": 9093, "split": "all"},
    "application": {"job": "shop", "port": 8000, "split": "job"},
    "billing": {"port": 8001, "split": "job"},
}


def shards_of(groups, hosts, of, **more):
    return [planned(groups, hosts, shard=Shard(number, of), **more) for number in range(of)]


def pairs(found):
    return {(entry["job"], entry["instance"]) for entry in found["expected"]}


@pytest.mark.parametrize("of", [2, 3])
def test_each_target_is_at_one_shard_and_the_stack_at_all(of):
    whole, parts = pairs(planned(STACK, NUMBERED)), shards_of(STACK, NUMBERED, of)
    found = [pairs(part) for part in parts]
    assert set().union(*found) == whole
    for pair in whole:
        everywhere = pair[0] in ("prometheus", "alertmanager")
        assert sum(pair in part for part in found) == (of if everywhere else 1), pair
    # All targets of a host are together, so that a rule can join them.
    for name in NUMBERED:
        assert [(("node", name + ":9100") in part, ("cadvisor", name + ":8080") in part) for part in found].count(
            (True, True)
        ) == 1
    # What is written is what is expected; and a job has the same configuration on all servers.
    for part in parts:
        written = {(job["job_name"], one) for job in part["jobs"] for each in job["targets"] for one in each["targets"]}
        assert written == pairs(part)
        assert [job["job_name"] for job in part["jobs"] if not job["targets"]] == []
    assert {repr(job["config"]) for part in parts for job in part["jobs"]} == {
        repr(job["config"]) for job in planned(STACK, NUMBERED)["jobs"]
    }
    # A job whose rules add up all its targets is whole, on one server.
    for job, port in (("shop", 8000), ("billing", 8001)):
        assert sorted(sum((job, f"{name}:{port}") in part for name in NUMBERED) for part in found) == [0] * (of - 1) + [
            40
        ]


def test_what_others_have_of_a_job_is_known():
    first, second = shards_of(STACK, NUMBERED, 2)
    here = {job["job_name"] for job in first["jobs"]}
    assert first["rules"]["partial"] == sorted({"cadvisor", "node"} | ({"billing", "shop"} - here))
    assert {"cadvisor", "node"} <= set(second["rules"]["partial"])
    assert set(first["rules"]["partial"]) & set(second["rules"]["partial"]) == {"cadvisor", "node"}
    assert [part["shard"] for part in (first, second)] == [{"number": 0, "of": 2}, {"number": 1, "of": 2}]
    assert planned(STACK, NUMBERED)["rules"]["partial"] == []


def test_targets_are_split_by_the_label_host_as_prometheus_would_do_it():
    """Where it was taken away, by their address: hashmod of `a:80` and `b:80` by the real one."""
    hosts = {"web1": {}, "x": {"monitoring_labels": {"host": "größe"}}}
    assert [pairs(part) for part in shards_of({"web": {"port": 80}}, hosts, 3)] == [
        set(),
        {("web", "web1:80")},
        {("web", "x:80")},
    ]
    bare = {"web": {"port": 9100, "labels": {"host": None}}}
    assert [pairs(part) for part in shards_of(bare, {"10.0.0.1": {}}, 10)].index({("web", "10.0.0.1:9100")}) == 5


def test_another_entry_of_a_group_is_split_as_before():
    merged = _scrape.merge_groups([{"application": {"port": 8000, "split": "job"}}, {"application": {"port": 9000}}])
    assert merged == {"application": {"split": "job", "port": 9000}}
    merged = _scrape.merge_groups([{"a": {"port": 1, "split": "job"}}, {"a": {"port": 2, "split": "target"}}])
    assert merged == {"a": {"port": 2, "split": "target"}}


def test_a_split_that_is_none_is_refused():
    with pytest.raises(_scrape.ScrapeError, match=r"prometheus_scrape_groups.web.split is 'host': .* target, job, all"):
        planned({"web": {"port": 80, "split": "host"}}, {"a": {}})


def test_jobs_of_the_users_own_are_split_when_they_say_so():
    own = [f"10.0.0.{number}:1" for number in range(20)]
    given = {
        "scrape_configs": [{"job_name": "mine", "static_configs": [{"targets": own}]}],
        "targets": {"files": [{"targets": own}]},
    }
    for job, other in (("mine", "files"), ("files", "mine")):
        parts = shards_of({}, {}, 2, sharded_jobs=[job], **given)
        found = [{one for name, one in pairs(part) if name == job} for part in parts]
        assert sorted([*found[0], *found[1]]) == sorted(own)
        assert [part["rules"]["partial"] for part in parts] == [[job], [job]]
        for part in parts:
            assert {one for name, one in pairs(part) if name == other} == set(own)
    # With relabelling of his own only Prometheus knows what becomes of them, but not of those that it never sees.
    relabelled = {
        "job_name": "mine",
        "relabel_configs": [{"target_label": "a"}],
        "static_configs": [{"targets": own[:1]}],
    }
    parts = shards_of({}, {}, 2, sharded_jobs=["mine"], scrape_configs=[relabelled])
    assert sorted(part["pools"] for part in parts) == [[], ["mine"]]


def test_targets_of_the_users_own_in_a_job_of_the_inventory_are_on_every_server():
    """Also on one to which the inventory gives none of the job's: with the job's own settings."""
    groups = {"web": {"job": "web", "port": 80, "path": "/m", "split": "job"}}
    for part in shards_of(groups, {"a": {}}, 2, targets={"web": [{"targets": ["x:1"]}]}):
        (job,) = part["jobs"]
        assert (job["file"], job["config"]["metrics_path"], job["targets"]) == ("file_sd/web.yml", "/m", None)
        assert pairs(part) == {("web", "x:1")}
        assert part["rules"]["partial"] == []


def test_the_backups_of_the_inventory_by_their_names():
    variables = {("b", "backup_name"): "shop", ("c", "backup_state"): "absent"}
    inventory = {"backup": ["a", "b", "c"]}
    assert _scrape.backups(inventory, lambda host, name: variables.get((host, name))) == ["a", "shop"]
    assert _scrape.backups({}, None) == []
