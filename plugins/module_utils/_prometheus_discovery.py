# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a job has no targets because there are none, or because its service discovery fails.

The counters of Prometheus distinguish mechanisms, from 3.6 on jobs as well; the mechanisms of each job come from the inventory.
"""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils._findings import (
    IN_LOG,
    OK,
    RED,
    UNVERIFIED,
    WAIT,
    Finding,
)

DISCOVERED = "prometheus_sd_discovered_targets"
REFRESHED = "prometheus_sd_refresh_duration_seconds_count"
REFRESH_FAILED = "prometheus_sd_refresh_failures_total"
# Mechanisms without a refresh interval have failure counters of their own.
OWN_FAILURES = {
    "file": ("prometheus_sd_file_read_errors_total",),
    "kubernetes": ("prometheus_sd_kubernetes_failures_total",),
    "consul": ("prometheus_sd_consul_rpc_failures_total",),
    "dns": ("prometheus_sd_dns_lookup_failures_total",),
    "kuma": ("prometheus_sd_kuma_fetch_failures_total",),
    "zookeeper": ("prometheus_treecache_zookeeper_failures_total",),
}
# The default refresh_interval of most mechanisms, and a little more.
REFRESH = 65.0
# Seconds after its start or reload in which a discovery may not have found anything yet.
FIRST = 15.0


def mechanisms(config):
    """The mechanisms of discovery that a scrape configuration uses, as Prometheus' metrics call them."""
    return sorted(key[: -len("_sd_configs")] for key, found in config.items() if key.endswith("_sd_configs") and found)


class Watch:
    """The counters of a mechanism over several polls."""

    def __init__(self):
        self._before = {}

    def fails(self, what, tried, failed):
        """Whether a mechanism fails now: True, False, or None if that is not known yet."""
        if not failed:
            return False
        before_tried, before_failed = self._before.setdefault(what, (tried, failed))
        if failed > before_failed or failed >= tried:
            return True
        return False if tried > before_tried else None


def _counts(page, mechanism, job):
    """How often a mechanism has tried, and failed, for a job if the metrics distinguish jobs."""
    found = []
    for name in (REFRESHED, REFRESH_FAILED):
        values = [
            value
            for labels, value in page.samples(name)
            if labels.get("mechanism") == mechanism and labels.get("config", job) == job
        ]
        found.append(sum(values))
    tried, failed = found
    own = sum(page.value(name) or 0.0 for name in OWN_FAILURES.get(mechanism, ()))
    if mechanism == "kubernetes":
        codes = page.by("prometheus_sd_kubernetes_http_request_total", "status_code")
        own += sum(value for (code,), value in codes.items() if not code.startswith(("2", "3")))
        tried += sum(codes.values())
    elif not tried:
        tried = page.value("prometheus_sd_file_scan_duration_seconds_count") or 0.0 if mechanism == "file" else own
    return tried, failed + own


def check(watch, page, jobs, age=None):
    """Findings about jobs without targets whose discovery fails, and a note about those whose discovery finds none.

    :param watch: a :class:`Watch`.
    :param page: a :class:`_exposition.Page` of Prometheus.
    :param jobs: job -> its mechanisms, of the jobs with service discovery.
    :param age: seconds since it has loaded its configuration, or None.
    """
    sizes = {
        labels.get("config"): value for labels, value in page.samples(DISCOVERED) if labels.get("name") == "scrape"
    }
    for job in sorted(jobs):
        if sizes.get(job, 0.0):
            continue
        named = ", ".join("{0}_sd_configs".format(one) for one in jobs[job])
        verdicts = {one: watch.fails((job, one), *_counts(page, one, job)) for one in jobs[job]}
        failing = [one for one, verdict in verdicts.items() if verdict]
        if failing:
            text = "its job {0} has no target, because service discovery fails ({1}); " + IN_LOG
            yield Finding(WAIT, text.format(job, ", ".join("{0}_sd_configs".format(one) for one in failing)))
        elif None in verdicts.values():
            text = "its job {0} has no target, and service discovery ({1}) has failed before"
            yield Finding(WAIT, text.format(job, named), REFRESH, UNVERIFIED)
        else:
            text = "its job {0} has no target: service discovery ({1}) finds none".format(job, named)
            early = age is not None and age < FIRST
            yield Finding(WAIT, text, FIRST, OK) if early else Finding(OK, text)
    broken = page.by("prometheus_sd_failed_configs", "name").get(("scrape",))
    if broken:
        yield Finding(RED, "{0:.0f} service discoveries cannot be started; ".format(broken) + IN_LOG)
    for (job,), failed in sorted(page.by("prometheus_target_sync_failed_total", "scrape_job").items()):
        if failed:
            text = "{1:.0f} of the discovered targets of its job {0} are invalid; " + IN_LOG
            yield Finding(UNVERIFIED, text.format(job, failed))
