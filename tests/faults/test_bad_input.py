"""Inputs that cannot work: the run names the variable or the file, and the host stays as it was, byte for byte.

All of them meet the same host, one after the other; the last test runs the play once more without any of the faults.
Each run is for the service alone whose input is wrong: that its role refuses is what is tested.
"""

from __future__ import annotations

import pytest
from conftest import SERVICES

pytestmark = pytest.mark.xdist_group("bad-input")

# Each case: variables, and words that the message has to say.
RULES = {
    "a rule whose expression cannot be parsed": (
        {"prometheus_alert_rules": [{"alert": "Broken", "expr": "sum(("}]},
        ["the configuration is not valid, nothing was changed", "promtool check config", "Broken", "parse error"],
    ),
    "a scrape configuration with a field that does not exist": (
        {"prometheus_scrape_configs": [{"job_name": "mine", "scrape_intervall": "5s"}]},
        ["the configuration is not valid", "/etc/prometheus/prometheus.yml", "scrape_intervall not found"],
    ),
    "a password file that is not there": (
        {
            "prometheus_scrape_configs": [
                {"job_name": "mine", "basic_auth": {"username": "me", "password_file": "/etc/prometheus-missing"}}
            ]
        },
        ["/etc/prometheus-missing, which the configuration names, does not exist"],
    ),
    "a receiver with a field that does not exist": (
        {"alertmanager_receivers": [{"name": "default", "webhok_configs": [{"url": "http://127.0.0.1:9/"}]}]},
        ["the configuration is not valid, nothing was changed", "amtool check-config", "webhok_configs not found"],
    ),
    "a route to a receiver that does not exist": (
        {"alertmanager_route": {"receiver": "nobody"}},
        ["the configuration is not valid", "undefined receiver", "nobody"],
    ),
    "a variable of the shell's, left where nobody expands it": (
        {"alertmanager_receivers": [{"name": "default", "webhook_configs": [{"url": "http://127.0.0.1/${TOKEN}"}]}]},
        ["the receiver 'default', webhook_configs[0].url", "'${'", "does not expand variables", "write the value"],
    ),
    "a secret's file that is not there": (
        {"alertmanager_smtp": {"from": "a@b.example", "smarthost": "b:25", "auth_password_file": "/etc/no-such"}},
        ["/etc/no-such, which the configuration names, does not exist"],
    ),
    "a secret's file that is empty": (
        {
            "alertmanager_receivers": [
                {"name": "default", "slack_configs": [{"channel": "x", "api_url_file": "/etc/empty"}]}
            ]
        },
        ["/etc/empty, which the configuration names, is empty"],
    ),
    "a secret's file that the service cannot read": (
        {"alertmanager_receivers": [{"name": "default", "webhook_configs": [{"url_file": "/etc/closed"}]}]},
        ["/etc/closed, which the configuration names, cannot be read by the user alertmanager"],
    ),
}
VARIABLES = {
    "an unknown variable of Prometheus": (
        {"prometheus_storage_retension": "5d"},
        ["prometheus_storage_retension: unknown variable", "did you mean prometheus_storage_retention?"],
    ),
    "an unknown variable of node_exporter": (
        {"node_exporter_web_listen_adress": "127.0.0.1:9100"},
        ["node_exporter_web_listen_adress: unknown variable", "did you mean node_exporter_web_listen_address?"],
    ),
    "a list where a dictionary belongs": (
        {"alertmanager_cluster": ["a", "b"]},
        ["alertmanager_cluster", "unable to convert to dict"],
    ),
    "a word where a list belongs": (
        {"prometheus_alert_rules": {"alert": "X"}},
        ["prometheus_alert_rules", "unable to convert to list"],
    ),
    "a duration that is none": (
        {"prometheus_storage_retention": "two weeks"},
        ["prometheus_storage_retention: is 'two weeks'", "write a duration such as 15s"],
    ),
    "a version that moves": (
        {"node_exporter_version": "latest"},
        ["node_exporter_version: is 'latest'", "pin a version"],
    ),
    "a checksum that is none": (
        {"node_exporter_checksum": "sha256:1234"},
        ["node_exporter_checksum: is 'sha256:1234'", "64 hexadecimal digits"],
    ),
}
FLAGS = {
    "a flag that this Prometheus does not know": (
        {"prometheus_config_flags_extra": {"web.no-such-flag": True}},
        ["prometheus was not changed", "does not know the flag --web.no-such-flag", "remove it"],
    ),
    "a feature that this Alertmanager refuses": (
        {"alertmanager_config_flags_extra": {"enable-feature": "no-such-feature"}},
        ["alertmanager was not changed", "does not accept its command line", "unknown option 'no-such-feature'"],
    ),
    "a level of its log that this Prometheus does not know": (
        {"prometheus_config_flags_extra": {"log.level": "loud"}},
        ["prometheus was not changed", "does not accept its command line", "loud"],
    ),
    "a flag that this Alertmanager does not know": (
        {"alertmanager_config_flags_extra": {"no.such.flag": "1"}},
        ["alertmanager was not changed", "does not know the flag --no.such.flag"],
    ),
    "a flag that an input sets already": (
        {"prometheus_config_flags_extra": {"storage.tsdb.path": "/elsewhere"}},
        ["prometheus_config_flags_extra['storage.tsdb.path']", "use prometheus_db_dir"],
    ),
}
CASES = {**VARIABLES, **RULES, **FLAGS}


@pytest.fixture(scope="module")
def before(shared_site):
    """The host's state before all tests, with files in it that no service can use as its secrets."""
    shared_site.host.run("touch /etc/empty; echo secret >/etc/closed; chmod 600 /etc/closed; chmod 644 /etc/empty")
    return shared_site.state()


@pytest.mark.parametrize("case", CASES)
def test_it_is_named_and_harms_nothing(shared_site, before, monkeypatch, case):
    variables, words = CASES[case]
    (service,) = {name for name in SERVICES for variable in variables if variable.startswith(name)}
    monkeypatch.setattr(shared_site, "variables", {**shared_site.variables, **variables})
    shared_site.run(groups=(service,)).must_be_red(*words)
    assert shared_site.state() == before


def test_everything_wrong_is_named_at_once(shared_site, before, monkeypatch):
    wrong = {"prometheus_storage_retension": "5d", "prometheus_web_listen_address": "9090", "prometheus_version": "3"}
    monkeypatch.setattr(shared_site, "variables", {**shared_site.variables, **wrong})
    shared_site.run(groups=("prometheus",)).must_be_red(*wrong)
    assert shared_site.state() == before


def test_without_the_faults_the_next_run_is_green_and_changes_nothing(shared_site, before):
    shared_site.run().must_be_green(changed=False)
    assert shared_site.state() == before
