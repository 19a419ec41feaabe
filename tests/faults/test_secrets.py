"""Secrets: none is ever printed, shown in a process list, or left in a file that others can read.

A sentinel stands wherever a secret can stand. The same host, bare at first, sees every kind of run: a check, the first
one, one with other secrets, a converged one, and several that fail, all with everything that Ansible can be made to say.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import threading
from urllib.parse import quote

import pytest
from conftest import SERVICES, base_variables

from lab import hosts, mirror

# The password of everybody whom a service lets in, and its hash.
PASSWORD = "vigil-sentinel-probe"
HASH = "$2b$04$EVKczMZIDMFZ6DzbUQURc.sUzSuEuHH4SSbQ3LQRORvD2DdbmDkju"
LOGIN = {"username": "me", "password": PASSWORD}
NOWHERE = "http://127.0.0.1:9"
LOUD = ("-vvvv", "--diff")
# Nobody listens where the samples go, which the verification at the end of a run rightly reports of Prometheus.
UNVERIFIED = (*LOUD, "--skip-tags", "verify")
# Behind each secret of the second age: whatever masks a part of it leaves this.
HOSTILE = """'s "100%" {b} [c], $d \\e <f>&g; é中 `h` #vigil-sentinel-end"""
# What the second age has where nobody looks for a secret: it has to stay readable in paths.
EVERYDAY = "prometheus"
# As it is, or as basic authentication sends it: the Base64 of `me:vigil-sentinel-...`.
SENTINEL = re.compile(
    "vigil-sentinel-[a-z0-9-]*|" + re.escape(base64.b64encode(b"me:vigil-sentine").decode()[:20]) + r"\S*"
)


def secrets(age: str) -> dict:
    """Variables with a sentinel in every place; those of another `age` are others."""

    def sentinel(place):
        return f"vigil-sentinel-{age}-{place}" + (HOSTILE if age == "second" else "")

    def part_of_a_url(place):
        return quote(sentinel(place), safe="")

    def login(place):
        return {"username": "me", "password": sentinel(place)}

    def bearer(place):
        return {"type": "Bearer", "credentials": sentinel(place)}

    probes = {}
    for service in ("node_exporter", "alertmanager", "prometheus"):
        probes[f"{service}_health_username"] = LOGIN["username"]
        probes[f"{service}_health_password"] = LOGIN["password"]
    return {
        **probes,
        # A queue that reaches nobody holds each reload up for a minute otherwise, one after the other.
        "prometheus_config_flags_extra": {"storage.remote.flush-deadline": "1s", "rules.alert.resend-delay": "2s"},
        "prometheus_web_config": {"basic_auth_users": {"me": HASH}},
        "alertmanager_web_config": {"basic_auth_users": {"me": HASH}},
        "node_exporter_basic_auth_users": {"me": HASH},
        "prometheus_scrape_groups": {
            "prometheus": {"port": 9090, "config": {"basic_auth": LOGIN}},
            "alertmanager": {"port": 9093, "config": {"basic_auth": LOGIN}},
            "node_exporter": {"job": "node", "port": 9100, "config": {"basic_auth": LOGIN}},
        },
        "prometheus_alertmanager_config": [
            {"static_configs": [{"targets": ["127.0.0.1:9093"]}], "basic_auth": LOGIN},
        ],
        "prometheus_remote_write": [
            {"url": NOWHERE, "name": "one", "basic_auth": login("write-basic")},
            {"url": NOWHERE, "name": "two", "authorization": bearer("write-bearer")},
            {"url": NOWHERE, "name": "three", "headers": {"X-Api-Key": sentinel("write-header")}},
            {
                "url": NOWHERE,
                "name": "four",
                "oauth2": {"client_id": "me", "client_secret": sentinel("write-oauth"), "token_url": NOWHERE},
            },
            {
                "url": NOWHERE,
                "name": "five",
                "sigv4": {"region": "here", "access_key": "me", "secret_key": sentinel("write-sigv4")},
            },
            {"url": f"http://me:{part_of_a_url('write-url')}@127.0.0.1:9/", "name": "six"},
        ],
        # Nobody is there to tell it targets, which is no part of this test.
        "monitoring_verify_ignore": [{"job": "five"}],
        "prometheus_remote_read": [{"url": NOWHERE, "authorization": bearer("read-bearer")}],
        "prometheus_scrape_configs": [
            {"job_name": "one", "basic_auth": login("scrape-basic")},
            {"job_name": "two", "authorization": bearer("scrape-bearer")},
            {"job_name": "three", "params": {"token": [sentinel("scrape-parameter")]}},
            {"job_name": "four", "proxy_url": f"http://me:{part_of_a_url('scrape-proxy')}@127.0.0.1:9"},
            {"job_name": "five", "http_sd_configs": [{"url": NOWHERE, "basic_auth": login("discovery-basic")}]},
            {"job_name": "six", "http_headers": {"X-Any": {"secrets": [sentinel("scrape-header")]}}},
        ],
        "alertmanager_slack_api_url": f"{NOWHERE}/{part_of_a_url('slack')}",
        "alertmanager_opsgenie_api_key": sentinel("opsgenie"),
        "alertmanager_victorops_api_key": sentinel("victorops"),
        "alertmanager_wechat_secret": sentinel("wechat"),
        "alertmanager_telegram_bot_token": EVERYDAY,
        "alertmanager_event_recorder": {
            "webhook_outputs": [{"url": f"{NOWHERE}/{part_of_a_url('recorder')}"}],
        },
        "alertmanager_wechat_corp_id": "we",
        "alertmanager_smtp": {
            "from": "us@example.org",
            "smarthost": "127.0.0.1:9",
            "auth_username": "me",
            "auth_password": sentinel("smtp"),
        },
        "alertmanager_http_config": {"basic_auth": login("http-basic")},
        "alertmanager_receivers": [
            {
                "name": "default",
                "slack_configs": [{"channel": "x", "api_url": f"{NOWHERE}/{part_of_a_url('receiver-slack')}"}],
                "pagerduty_configs": [
                    {"routing_key": sentinel("pagerduty-routing")},
                    {"service_key": sentinel("pagerduty-service")},
                ],
                "webhook_configs": [
                    {"url": f"{NOWHERE}/{part_of_a_url('webhook')}"},
                    {"url": NOWHERE, "http_config": {"authorization": bearer("webhook-bearer")}},
                ],
                "email_configs": [{"to": "you@example.org", "auth_password": sentinel("email")}],
                "opsgenie_configs": [{"api_key": sentinel("receiver-opsgenie")}],
                "pushover_configs": [{"token": sentinel("pushover-token"), "user_key": sentinel("pushover-user")}],
                "telegram_configs": [{"bot_token": sentinel("telegram"), "chat_id": 1}],
                "discord_configs": [{"webhook_url": f"{NOWHERE}/{part_of_a_url('discord')}"}],
                "msteams_configs": [{"webhook_url": f"{NOWHERE}/{part_of_a_url('msteams')}"}],
            }
        ],
        # Nothing but plain letters fits into a header.
        "monitoring_release_headers": {
            "Authorization": f"Bearer vigil-sentinel-{age}-release-bearer",
            "X-Api-Key": f"vigil-sentinel-{age}-release-header",
        },
    }


def places(data) -> set[str]:
    """The sentinels in a structure or a text."""
    return {found.group() for found in SENTINEL.finditer(str(data))}


@contextlib.contextmanager
def processes():
    """Every command line of this machine, of whose kernel the lab's hosts' processes are too, seen within the block."""
    seen, known, over = set(), set(), threading.Event()

    def look():
        while not over.wait(0.02):
            for name in filter(str.isdigit, os.listdir("/proc")):
                # Many end while they are looked at.
                with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as stream:
                    if (line := stream.read()) not in known:
                        known.add(line)
                        seen.add(line.replace(b"\0", b" ").decode("utf-8", "replace"))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def must_be_silent(outcome):
    """Fail the test, without repeating all of the output, when a secret stands in it."""
    lines = [line.strip()[:400] for line in outcome.output.splitlines() if SENTINEL.search(line)]
    assert not lines, f"{len(lines)} lines of the output tell secrets: {places(lines)}\n" + "\n".join(lines[:20])
    return outcome


def readable_by_others(site):
    """What others than root and the services can read on the host, of all that holds a secret."""
    command = "grep -rla vigil-sentinel / --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev 2>/dev/null"
    return site.host.run(f"su -s /bin/sh nobody -c '{command}'", check=False, timeout=120).stdout.split()


@pytest.fixture
def site(bare):
    """A bare host that gets its releases from a server which sees the headers, with secrets everywhere."""
    with mirror.serve(hosts.gateway()) as server:
        address = server.url.replace("http://", "http://me:vigil-sentinel-mirror@")
        bare.variables.update(base_variables(), monitoring_release_mirror=address, **secrets("first"))
        yield bare


def broken(site):
    """Runs that fail, each near a secret: what is wrong, variables, words of the message."""
    good = site.variables
    write, receiver = good["prometheus_remote_write"], good["alertmanager_receivers"][0]
    scrape = good["prometheus_scrape_configs"]
    return {
        "not what a role takes": (
            {"prometheus_remote_write": "http://me:vigil-sentinel-type@127.0.0.1:9/"},
            ["prometheus_remote_write"],
        ),
        "an unknown variable": (
            {"alertmanager_smtp_pasword": "vigil-sentinel-unknown", "monitoring_strict_variables": True},
            ["alertmanager_smtp_pasword"],
        ),
        "a password that is no hash": (
            {"prometheus_web_config": {"basic_auth_users": {"me": "vigil-sentinel-hash"}}},
            ["prometheus_web_config", "bcrypt"],
        ),
        "a scrape configuration that promtool refuses": (
            {
                "prometheus_scrape_configs": [
                    *scrape,
                    {**scrape[0], "job_name": "x", "authorization": {"credentials": "x"}},
                ]
            },
            ["the configuration is not valid", "at most one of"],
        ),
        "a secret where a structure belongs": (
            {"prometheus_remote_write": [*write, {"url": NOWHERE, "basic_auth": "vigil-sentinel-place"}]},
            ["the configuration is not valid"],
        ),
        "a receiver that amtool refuses": (
            {
                "alertmanager_receivers": [
                    {**receiver, "webhook_configs": [{"url": "no-address:vigil-sentinel-scheme"}]},
                ]
            },
            ["the configuration is not valid", "amtool"],
        ),
        "a shell's variable beside a secret": (
            {"alertmanager_opsgenie_api_key": "vigil-sentinel-shell${KEY}"},
            ["does not expand variables"],
        ),
        "a release that is not there": (
            {"node_exporter_version": "99.0.0"},
            ["answers 404"],
        ),
        "a service that does not start": (
            {"prometheus_config_flags_extra": {**good["prometheus_config_flags_extra"], "query.timeout": "never"}},
            ["prometheus.service failed verification", "was restored and is healthy again"],
        ),
        "a health check without a login": (
            {"alertmanager_health_password": "vigil-sentinel-refused"},
            [],
        ),
    }


def test_no_secret_gets_out(site):
    with processes() as seen:
        must_be_silent(site.run("--check", *UNVERIFIED)).must_be_green(changed=True)
        must_be_silent(site.run(*UNVERIFIED)).must_be_green(changed=True)
        for command in ("grep -rha vigil-sentinel /etc/prometheus", "grep -rha vigil-sentinel /etc/alertmanager"):
            assert places(site.host.run(command).stdout)
        written = places(site.host.run("grep -rha vigil-sentinel /etc").stdout)
        missing = places(secrets("first")) - written - {"vigil-sentinel-mirror"}
        assert {place for place in missing if "-release-" not in place} == set(), "they were not deployed"
        assert readable_by_others(site) == []

        site.variables.update(secrets("second"))
        diff = must_be_silent(site.run("--check", *UNVERIFIED)).must_be_green(changed=True)
        must_be_silent(site.run(*UNVERIFIED)).must_be_green(changed=True)
        must_be_silent(site.run(*UNVERIFIED)).must_be_green(changed=False)
        # Storage and receivers are away, which the verification reports in its own words.
        loud = must_be_silent(site.run(*LOUD)).must_be_green(changed=False)
        assert "not fully verified" in loud.output and "its log says why" in loud.output
        assert readable_by_others(site) == []
        assert re.search("/etc/prometheus/prometheus.yml", diff.output) and "/etc/********" not in diff.output

        good = site.variables
        for variables, words in broken(site).values():
            site.variables = {**good, **variables}
            (service,) = {name for name in SERVICES for variable in variables if variable.startswith(name)}
            outcome = must_be_silent(site.run(*UNVERIFIED, groups=(service,)))
            if words:
                outcome.must_be_red(*words)
        assert readable_by_others(site) == []
    told = {command for command in seen if SENTINEL.search(command) and "grep" not in command}
    assert told == set()
    assert any("check-config" in command or "check config" in command for command in seen), "nothing was seen at all"
