# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daily and weekly checklist: queries to one Prometheus, results as plain data.

A request that fails is added to the problems, and the others continue. The number of requests does not depend on the number
of hosts: at most forty, and two for each threshold.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlencode

from ansible_collections.vigil.monitoring.plugins.module_utils import _client, _promql, _targets
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize

# Prometheus rejects a range query with more than 11,000 points per series.
POINTS = 10900
# Points of all series of alerts together: what can be parsed within a second or two.
ALL_POINTS = 400000
# Above it, alerts are listed by name instead of by series.
SERIES = 500
# Above it, only the sum over all series of a threshold is fetched.
THRESHOLD_SERIES = 200
RESOLUTION = 30
PERCENTILE_RESOLUTION = 300
# What is said of a backup besides its age -> its metric, where it has one.
_BACKUP_DETAILS = {
    "size": "backup_size_bytes",
    "checked": "backup_last_check_timestamp_seconds",
    "check_success": "backup_last_check_success",
    "rehearsed": "monitoring_restore_test_success_timestamp_seconds",
}
_REHEARSAL = "monitoring_restore_test_"
_REHEARSED = ("success_timestamp_seconds", "snapshot_timestamp_seconds", "size_bytes", "duration_seconds", "items")
# A threshold from less than a week, with its weekend and its weekly jobs, would be a guess.
LEAST_HOURS = 7 * 24
# Hosts of which CPU and memory are shown.
BUSIEST = 10
# What is used of a resource, in percent by instance -> its expression; WINDOW stands for the range of a rate.
USAGE = {
    # The time in use instead of 100 % less the idle time: rate() is too low where a series begins, and a new host would seem busy.
    "cpu": '100 * sum by (instance) (rate(node_cpu_seconds_total{mode!~"idle|iowait"}[WINDOW]))'
    ' / count by (instance) (node_cpu_seconds_total{mode="idle"})',
    "memory": "100 - 100 * max by (instance) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)",
}
# Targets of a job whose names are given when they came or went.
NAMED = 3
# Figures that are compared with those of the start of the range -> their expression.
FIGURES = {
    # Their number falls whenever the head is written to a block, every two hours.
    "series in memory": "sum(max_over_time(prometheus_tsdb_head_series[3h]))",
    "alerting and recording rules": "sum(prometheus_rule_group_rules)",
}
# Marks the series of the result that give the number of hours with samples.
HOURS = "__hours__"
# A trend over less than this is not significant.
SHORTEST_TREND = 6 * 3600
CONNECT = 5.0

REAL = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|nsfs"'
FIRING = 'alertstate="firing", alertname!="Watchdog", severity!="none"'
# Metrics with the version of most programs.
BUILD_INFO = '{__name__=~"[a-z_]+_build_info", version!=""}'
# What Docker mounts into each of its containers.
FILES = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
DISK = ("job", "instance", "device", "fstype", "mountpoint")


class Unanswered(Exception):
    """Prometheus cannot be queried at all; the message says what to do.

    :ivar unreachable: whether it cannot be reached from here.
    """

    def __init__(self, text, unreachable=False):
        super().__init__(text)
        self.unreachable = unreachable


class Check(NamedTuple):
    """One check of monitoring itself.

    :ivar bad: which values are a problem: ``zero``, ``positive``, ``absent``, or ``none``.
    :ivar total: how the series become one number: ``sum``, ``min`` or ``max``.
    :ivar unit: ``count``, ``bytes`` or ``yes``.
    :ivar trouble: the text of the problem.
    """

    name: str
    query: str
    bad: str
    total: str
    unit: str = "count"
    trouble: str = ""


# RANGE stands for the range of the report.
CHECKS = (
    Check(
        "Watchdog is firing",
        'max(ALERTS{alertname="Watchdog", alertstate="firing"})',
        "absent",
        "max",
        "yes",
        "the Watchdog is not firing",
    ),
    Check(
        "Prometheus has loaded its configuration",
        "prometheus_config_last_reload_successful",
        "zero",
        "min",
        "yes",
        "Prometheus could not load its configuration",
    ),
    Check(
        "Alertmanager has loaded its configuration",
        "alertmanager_config_last_reload_successful",
        "zero",
        "min",
        "yes",
        "Alertmanager could not load its configuration",
    ),
    Check(
        "Alertmanagers that Prometheus is connected to",
        "prometheus_notifications_alertmanagers_discovered",
        "zero",
        "min",
        trouble="Prometheus is not connected to any Alertmanager",
    ),
    Check(
        "Failed rule evaluations",
        "sum by (instance, rule_group) (increase(prometheus_rule_evaluation_failures_total[RANGE]))",
        "positive",
        "sum",
        trouble="rule evaluations failed",
    ),
    Check(
        "Missed rule evaluations",
        "sum by (instance, rule_group) (increase(prometheus_rule_group_iterations_missed_total[RANGE]))",
        "positive",
        "sum",
        trouble="rule evaluations were missed",
    ),
    Check(
        "Alerts that could not be sent to Alertmanager",
        "sum by (instance, alertmanager) (increase(prometheus_notifications_errors_total[RANGE]))",
        "positive",
        "sum",
        trouble="alerts could not be sent to Alertmanager",
    ),
    Check(
        "Alerts dropped by Prometheus",
        "sum by (instance) (increase(prometheus_notifications_dropped_total[RANGE]))",
        "positive",
        "sum",
        trouble="Prometheus dropped alerts",
    ),
    Check(
        "Failed notifications",
        "sum by (instance, integration) (increase(alertmanager_notifications_failed_total[RANGE]))",
        "positive",
        "sum",
        trouble="notifications failed",
    ),
    Check(
        "Attempted notifications",
        "sum by (instance, integration) (increase(alertmanager_notifications_total[RANGE]))",
        "none",
        "sum",
    ),
    Check("Active silences", 'alertmanager_silences{state="active"}', "none", "max"),
    Check(
        "Failures of the TSDB of Prometheus",
        "sum by (instance) (increase(prometheus_tsdb_compactions_failed_total[RANGE]))"
        " + sum by (instance) (increase(prometheus_tsdb_wal_corruptions_total[RANGE]))",
        "positive",
        "sum",
        trouble="the TSDB of Prometheus has failures",
    ),
    Check("Series in memory", "prometheus_tsdb_head_series", "none", "sum"),
    Check("Size of the stored blocks", "prometheus_tsdb_storage_blocks_bytes", "none", "sum", "bytes"),
)


class Prometheus:
    """One server, queried until a deadline; problems are collected.

    :param url: its URL with its path prefix, without user info.
    :param access: a :class:`_client.Access`.
    :param timeout: seconds for all requests together.
    :param patience: seconds for one of them.
    :ivar problems: list of ``{section, text}``.
    """

    def __init__(self, url, access, timeout, patience, get=_client.get, clock=time.monotonic):
        self.url = url.rstrip("/")
        self.access = access
        self.patience = patience
        self.asked = 0
        self.problems = []
        self._get = get
        self._clock = clock
        self._deadline = clock() + timeout

    def first(self, path, **parameters):
        """The first request, which shows whether Prometheus can be queried.

        :raises Unanswered: when it cannot.
        """
        try:
            return self._request(path, parameters)
        except _client.AskError as error:
            hint = {"tls": "; see ca_path, validate_certs and whether the URL should begin with http://"}
            raise Unanswered("it cannot be queried: {0}{1}".format(error, hint.get(error.kind, "")),
                             error.kind == "unreachable") from error  # fmt: skip
        except ValueError as error:
            raise Unanswered(str(error)) from error

    def request(self, section, what, path, read, **parameters):
        """The data of a response of the API, as ``read`` returns it; None, and a problem more, if the request fails.

        :param section: of the report, in which a problem is listed.
        :param what: is requested, as text.
        :param path: of the API, ``/api/v1/query``.
        :param read: function of the response's ``data``.
        :param parameters: of the query.
        """
        try:
            data = self._request(path, parameters)
            try:
                return read(data)
            except (KeyError, IndexError, TypeError, AttributeError) as error:
                raise ValueError("unexpected format of the response") from error
        except (_client.AskError, ValueError) as error:
            self.problems.append({"section": section, "text": "{0}: {1}".format(what, error)})
        return None

    def instant(self, section, what, query, at):
        """Series and their value: list of ``(labels, value)``, without NaN; None when the query failed.

        Parameters as in :meth:`request`.

        :param at: seconds since the epoch.
        """
        limit = self._limit()
        return self.request(section, what, "/api/v1/query", _values, query=query, time=at, timeout=limit)

    def over(self, section, what, query, start, end, step):
        """Series and their points: list of ``(labels, [(time, value)])``; None when the query failed.

        Parameters as in :meth:`request`.

        :param start: seconds since the epoch, as ``end``.
        :param step: seconds.
        """
        span = {"start": start, "end": end, "step": step, "timeout": self._limit()}
        return self.request(section, what, "/api/v1/query_range", _points, query=query, **span)

    def _limit(self):
        return "{0}s".format(max(1, math.ceil(self.patience)))

    def _request(self, path, parameters):
        left = self._deadline - self._clock()
        if left <= 0:
            raise ValueError("not requested, because the timeout for all requests had passed")
        query = "?" + urlencode(parameters) if parameters else ""
        self.asked += 1
        # Prometheus gives up first and reports it; our own timeout is for one that does not answer.
        reply = self._get(
            self.url + path + query, self.access, min(left + 5, self.patience + 5), min(CONNECT, self.patience)
        )
        return data_of(reply, self.access)


def _values(data):
    found = [(series["metric"], float(series["value"][1])) for series in data["result"]]
    return [(labels, value) for labels, value in found if not math.isnan(value)]


def _points(data):
    return [
        (series["metric"], [(float(at), float(value)) for at, value in series["values"]]) for series in data["result"]
    ]


def data_of(reply, access):
    """The data of a response of the API.

    :raises ValueError: when it is an error, or not from Prometheus; the message is for users.
    """
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict) and answer.get("status") == "success" and "data" in answer:
        return answer["data"]
    if isinstance(answer, dict) and answer.get("error"):
        words = sanitize(answer["error"])
        raise ValueError("HTTP {0}: {1}".format(reply.status, _client.without_secrets(words)))
    if reply.status in (401, 403):
        if access.username is None:
            raise ValueError(
                "authentication required (HTTP {0}): set url_username and url_password".format(reply.status)
            )
        raise ValueError("authentication failed for user {0!r} (HTTP {1})".format(access.username, reply.status))
    if reply.status == 404:
        raise ValueError("no Prometheus API at this URL (HTTP 404): it must end with the path of --web.external-url")
    words = sanitize(reply.body[:120])
    raise ValueError("HTTP {0}, not a response of Prometheus: {1}".format(reply.status, words or "empty"))


def step_of(length, least=RESOLUTION, points=POINTS):
    """A step, in tens of seconds, so that a range has at most so many points.

    :param length: of the range, in seconds.
    :param least: the smallest step, in seconds.
    :param points: how many; Prometheus answers with at most 11,000.
    :returns: seconds.
    """
    return max(least, 10 * math.ceil(length / points / 10))


def collect(prometheus, settings):
    """Run all queries.

    :param prometheus: a :class:`Prometheus`.
    :param settings: dict: ``range``, ``trend_range``, ``threshold_range``, ``percentile_range`` in seconds; ``expect``
        and ``ignore`` as for the module target_health, ``pools``; ``thresholds``, or None to read them from the rules;
        ``version_metrics``.
    :returns: dict, as the module returns it.
    :raises Unanswered: when Prometheus cannot be queried.
    """
    # Its clock, not ours: the two may differ, and the samples have its timestamps.
    answer = prometheus.first("/api/v1/query", query="time()")
    try:
        end = math.floor(float(answer["result"][1]))
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise Unanswered("the server is not Prometheus") from error
    span = {"start": end - settings["range"], "end": end, "range": settings["range"]}
    rules = prometheus.request("monitoring", "rules", "/api/v1/rules", alert_rules, type="alert")
    targets, hosts = _judged_targets(prometheus, settings)
    versions = settings.get("version_metrics") or {}
    services = _services(prometheus, span, versions)
    backups = _backups(prometheus, span)
    report = {
        "answered": True,
        "version": prometheus.request("targets", "version", "/api/v1/status/buildinfo", lambda data: data["version"]),
        "start": span["start"],
        "end": end,
        "range": settings["range"],
        "oldest": _oldest(prometheus, end),
        "targets": targets,
        "services": services,
        "alerts": _alerts(prometheus, span),
        "changes": _changes(prometheus, span, services, versions),
        "hosts": {name: _busiest(prometheus, span, name) for name in USAGE},
        "disks": _disks(prometheus, end, max(settings["trend_range"], settings["range"])),
        "backups": backups,
        "rehearsals": _rehearsals(prometheus, backups, end),
        "checks": _checks(prometheus, span, rules),
        "thresholds": _thresholds(prometheus, end, settings, rules),
    }
    _name_hosts(report, hosts)
    report.update(problems=prometheus.problems, queries=prometheus.asked)
    return report


def _name_hosts(found, hosts):
    """Put the label host beside each instance of a report: most queries are about the instance alone."""
    if isinstance(found, dict):
        if found.get("instance") in hosts:
            found.setdefault("host", hosts[found["instance"]])
        found = found.values()
    if isinstance(found, str) or not isinstance(found, Iterable):
        return
    for each in found:
        _name_hosts(each, hosts)


def alert_rules(data):
    """The alerting rules in the data of a response of ``/api/v1/rules``: list of dicts."""
    found = []
    for group in data.get("groups") or ():
        for rule in group.get("rules") or ():
            if rule.get("type") == "alerting":
                found.append(
                    {
                        "alert": rule.get("name", ""),
                        "severity": (rule.get("labels") or {}).get("severity", ""),
                        "query": rule.get("query", ""),
                        "for": rule.get("duration") or 0,
                        "group": group.get("name", ""),
                        "error": rule.get("lastError") or "" if rule.get("health") == "err" else "",
                    }
                )
    return found


def _oldest(prometheus, end):
    found = prometheus.instant(
        "thresholds", "age of the history", "min(prometheus_tsdb_lowest_timestamp_seconds) > 0", end
    )
    # An empty database reports the largest possible number.
    return next((value for dummy, value in found or () if 0 < value <= end), None)


def _judged_targets(prometheus, settings):
    def read(data):
        return _targets.parse(json.dumps({"status": "success", "data": data}))

    targets = prometheus.request("targets", "targets", "/api/v1/targets", read, state="active")
    if targets is None:
        return None, {}
    expect = settings.get("expect")
    if expect is not None:
        expect = [(entry["job"], entry["instance"]) for entry in expect]
    ignored = _targets.compile_ignore(settings.get("ignore"))
    verdict = _targets.judge(targets, expect, ignored, pools=settings.get("pools") or ())
    jobs = {}
    for target in targets:
        counts = jobs.setdefault(target.job, [0, 0])
        counts[0] += target.health == "up"
        counts[1] += 1
    judged = {
        "up": verdict.up,
        "expected": verdict.expected,
        "down": [_targets.as_dict(target) for target in verdict.down],
        "missing": [{"job": job, "instance": instance} for job, instance in verdict.missing],
        "ignored": [_targets.as_dict(target) for target in verdict.ignored],
        "unexpected_down": [_targets.as_dict(target) for target in verdict.unexpected if target.health != "up"],
        "jobs": jobs,
    }
    return judged, {target.instance: target.host for target in targets if target.host}


def _services(prometheus, span, version_metrics):
    """Jobs with their availability over the range, versions and restarts.

    :param version_metrics: metrics that tell a version in a way of their own -> their label.
    """
    end, length = span["end"], _promql.duration(span["range"])
    shares = prometheus.instant("targets", "availability", "avg_over_time(up[{0}])".format(length), end)
    builds = prometheus.instant("targets", "versions", versions_query(version_metrics), end)
    restarts = prometheus.instant(
        "targets", "restarts", "changes(process_start_time_seconds[{0}]) > 0".format(length), end
    )
    jobs = {}

    def of(labels):
        return jobs.setdefault(
            labels.get("job", ""), {"job": labels.get("job", ""), "instances": [], "versions": {}, "restarts": []}
        )

    for labels, share in shares or ():
        of(labels)["instances"].append({"instance": labels.get("instance", ""), "up": share})
    for job, programs in versions_of(builds).items():
        of({"job": job})["versions"] = programs
    for labels, count in restarts or ():
        of(labels)["restarts"].append({"instance": labels.get("instance", ""), "times": round(count)})
    for job in jobs.values():
        job["instances"].sort(key=lambda entry: (entry["up"], entry["instance"]))
        # Only the worst are returned: ten thousand good ones would only use memory.
        del job["instances"][5:]
    return [jobs[name] for name in sorted(jobs)]


def versions_query(version_metrics):
    """A query for the series that tell a version in their label ``version``.

    :param version_metrics: metrics that tell a version in a way of their own -> their label.
    """
    named = 'label_replace({0}, "version", "$1", "{1}", "(.*)")'
    return " or ".join([BUILD_INFO, *(named.format(*pair) for pair in sorted(version_metrics.items()))])


def versions_of(builds):
    """How many instances of a job run which version of a program: job -> program -> version -> count."""
    jobs = {}
    for labels, dummy in builds or ():
        version = labels.get("version", "").lstrip("v")
        if not version:
            # As of the cAdvisor inside a kubelet: a label whose value is empty is none.
            continue
        program = re.sub("_(build|version)_info$", "", labels.get("__name__", ""))
        versions = jobs.setdefault(labels.get("job", ""), {}).setdefault(program, {})
        versions[version] = versions.get(version, 0) + 1
    return jobs


def _changes(prometheus, span, services, version_metrics):
    """What is different from the start of the range, and which alerts fired in the range before it.

    :param services: as :func:`_services` returns them.
    :returns: dict; ``compared`` is whether there are samples of the start of the range. What could not be requested is None.
    """
    start, end, length = span["start"], span["end"], _promql.duration(span["range"])

    def request(what, query, at):
        return prometheus.instant("changes", what, query, at)

    seen = request("targets at the start", "count(up)", start)
    if not seen:
        # Prometheus was not there, or down: everything would be new.
        return {"compared": False}
    then = request("figures at the start", _figures_query(), start)
    fired = "count by (alertname, severity) (last_over_time(ALERTS{{{0}}}[{1}]))".format(FIRING, length)
    before = request("alerts of the range before", fired, start)
    old = "up offset {0}".format(length)
    builds = request("versions at the start", versions_query(version_metrics), start)
    now, was = {job["job"]: job["versions"] for job in services}, versions_of(builds)
    return {
        "compared": True,
        "alerts_before": None
        if before is None
        else [
            {"alert": labels.get("alertname", ""), "severity": labels.get("severity", "")} for labels, dummy in before
        ],
        "added": _moved(request("added targets", _moved_query("up", old), end)),
        "removed": _moved(request("removed targets", _moved_query(old, "up"), end)),
        "versions": [
            {"job": job, "program": program, "before": sorted(was[job][program]), "now": sorted(now[job][program])}
            for job in sorted(set(now) & set(was))
            for program in sorted(set(now[job]) & set(was[job]))
            if set(now[job][program]) != set(was[job][program])
        ],
        "figures": _figures(then, request("figures now", _figures_query(), end)),
    }


def _moved_query(here, not_there):
    """How many targets of each job are in one set and not in the other, and some of them."""
    found = "({0} unless on (job, instance) {1})".format(here, not_there)
    return "count by (job) {0} or topk by (job) ({1}, {0})".format(found, NAMED)


def _moved(series):
    """Targets that came or went: list of ``job``, ``count`` and ``instances``, some of them; None if the request failed."""
    if series is None:
        return None
    jobs = {}
    for labels, value in series:
        job = jobs.setdefault(labels.get("job", ""), {"job": labels.get("job", ""), "count": 0, "instances": []})
        if "instance" in labels:
            job["instances"].append({name: labels[name] for name in ("instance", "host") if name in labels})
        else:
            job["count"] = int(value)
    return [jobs[name] for name in sorted(jobs)]


def _figures_query():
    return " or ".join(
        'label_replace({0}, "figure", "{1}", "", "")'.format(query, name) for name, query in FIGURES.items()
    )


def _figures(then, now):
    """Figures with their values at both ends of the range."""
    then = {labels["figure"]: value for labels, value in then or ()}
    now = {labels["figure"]: value for labels, value in now or ()}
    return [
        {"figure": name, "before": then[name], "now": now[name]} for name in FIGURES if name in then and name in now
    ]


def _busiest(prometheus, span, name):
    """The hosts that used most of a resource at one time, with the history of the range; None if the request failed.

    :param name: of :data:`USAGE`.
    :returns: list of ``instance``, ``history``, and the ``most``, ``mean`` and ``last`` value, in percent.
    """
    step = step_of(span["range"], points=288)
    # As long as the rate of the alerts, which needs a few samples.
    used = USAGE[name].replace("WINDOW", "{0}s".format(max(step, PERCENTILE_RESOLUTION)))
    # The same hosts at each point: those of the whole range, which is evaluated once.
    query = "({0}) and on (instance) topk({1}, max_over_time(({0})[{2}:{3}s] @ {4}))".format(
        used, BUSIEST, _promql.duration(span["range"]), step, span["end"]
    )
    found = prometheus.over("hosts", name, query, span["end"] - span["range"] // step * step, span["end"], step)
    if found is None:
        return None
    hosts = []
    for labels, points in found:
        values = [value for dummy, value in points if not math.isnan(value)]
        if values:
            hosts.append(
                {
                    "instance": labels.get("instance", ""),
                    "most": max(values),
                    "mean": sum(values) / len(values),
                    "last": values[-1],
                    "history": [[at, round(value, 2)] for at, value in points if not math.isnan(value)],
                }
            )
    return sorted(hosts, key=lambda host: (-host["most"], host["instance"]))


def _alerts(prometheus, span):
    """Alerts that fired: series with their episodes, or names with theirs if there are too many series."""
    start, end, length = span["start"], span["end"], span["range"]
    counted = prometheus.instant(
        "alerts",
        "how many alerts fired",
        "count(last_over_time(ALERTS{{{0}}}[{1}]))".format(FIRING, _promql.duration(length)),
        end,
    )
    if counted is None:
        return None
    series = int(counted[0][1]) if counted else 0
    if not series:
        return {"series": 0, "by_name": False, "step": RESOLUTION, "fired": []}
    by_name = series > SERIES
    step = step_of(length)
    query = "count by (alertname, severity, service) (ALERTS{{{0}}})".format(FIRING)
    if not by_name:
        step = max(step, step_of(length, points=ALL_POINTS / series))
        # Its value is the time when the alert became active, which distinguishes two episodes however close they are.
        query = "ALERTS_FOR_STATE and ignoring (alertstate) ALERTS{{{0}}}".format(FIRING)
    found = prometheus.over("alerts", "which alerts fired", query, end - length // step * step, end, step)
    if found is None:
        return None
    fired = []
    for labels, points in found:
        rest = {name: text for name, text in labels.items() if name not in ("__name__", "alertname", "alertstate")}
        fired.append(
            {
                "alert": labels.get("alertname", ""),
                "severity": rest.pop("severity", ""),
                "labels": rest,
                "episodes": episodes(points, step, start, end, since=not by_name),
                "most": None if by_name is False else int(max(value for dummy, value in points)),
            }
        )
    fired.sort(key=lambda entry: (entry["alert"], entry["severity"], sorted(entry["labels"].items())))
    return {"series": series, "by_name": by_name, "step": step, "fired": fired}


def episodes(points, step, start, end, since=False):
    """The times in which there were points, as dicts of ``start``, ``end``, ``ongoing``, ``before``.

    :param points: list of ``(time, value)``; times are seconds since the epoch.
    :param step: seconds between two points.
    :param start: of the range, seconds since the epoch; likewise ``end``.
    :param since: whether the values are the times of activation, so that a new one begins a new episode. One that moves
        to a time at which the alert was already firing does not: Prometheus shifts it so after a restart.
    """
    found = []
    last, last_value = None, None
    for at, value in points:
        again = last is None or at - last > 1.5 * step or (since and value > last_value and value > last)
        if again:
            before = at - start < step
            begin = min(value, at) if since and before else at
            found.append({"start": begin, "end": at, "ongoing": False, "before": before})
        # It was still firing at this point, and no longer at the next one.
        found[-1]["end"] = min(at + step, end)
        last, last_value = at, value
    if found and last >= end - step / 2:
        found[-1].update(end=end, ongoing=True)
    return found


def _disks(prometheus, end, length):
    writable = "node_filesystem_avail_bytes{{{0}}} unless node_filesystem_readonly{{{0}}} == 1".format(REAL)
    free = prometheus.instant("disks", "free space", writable, end)
    sizes = prometheus.instant("disks", "sizes", "node_filesystem_size_bytes{{{0}}}".format(REAL), end)
    if free is None or sizes is None:
        return None
    step = step_of(length, least=RESOLUTION, points=168)
    history = prometheus.over("disks", "trend", writable, end - length // step * step, end, step) if free else []
    points_of = {_disk(labels): points for labels, points in history or ()}
    size_of = {_disk(labels): value for labels, value in sizes}
    disks = []
    sized = [(labels, avail, size_of.get(_disk(labels))) for labels, avail in free]
    for labels, avail, size in once(disk for disk in sized if disk[-1]):
        points = points_of.get(_disk(labels), [])
        slope = trend(points)
        disks.append(
            {
                **dict(zip(DISK, _disk(labels))),
                "size": size,
                "avail": avail,
                "used": 100.0 * (1 - avail / size),
                "per_day": None if slope is None else -slope * 86400,
                "days_left": days_left(avail, slope),
                "span": points[-1][0] - points[0][0] if points else 0,
                "history": [[at, round(100.0 * (1 - value / size), 2)] for at, value in points],
            }
        )
    disks.sort(key=lambda disk: (disk["days_left"] if disk["days_left"] is not None else math.inf, -disk["used"]))
    return disks


def once(free):
    """Each file system of a host once, though it is mounted at several places, as by containers or by `bind`.

    :param free: list of ``(labels, available bytes, size)``.
    :returns: those with the place that the others are copies of: a directory before a file, the shortest path.
    """
    found = {}
    for disk in free:
        labels, dummy, size = disk
        mountpoint = labels.get("mountpoint", "")
        rank = (mountpoint in FILES, len(mountpoint), mountpoint)
        # Two file systems with the name of one device, as with quotas, differ in their size. What is free may differ between two
        # places of one: it changes while they are read.
        key = tuple(labels.get(name) for name in ("instance", "device")) + (size,)
        if key not in found or rank < found[key][0]:
            found[key] = rank, disk
    return [disk for dummy, disk in found.values()]


def _disk(labels):
    return tuple(labels.get(name, "") for name in DISK)


def trend(points):
    """The slope of the straight line through points by least squares; None when they are too few or too close."""
    if len(points) < 4 or points[-1][0] - points[0][0] < SHORTEST_TREND:
        return None
    middle = sum(at for at, dummy in points) / len(points)
    mean = sum(value for dummy, value in points) / len(points)
    spread = sum((at - middle) ** 2 for at, dummy in points)
    return sum((at - middle) * (value - mean) for at, value in points) / spread


def days_left(avail, slope):
    """Days until it is full at this loss per second; None if free space grows, is constant, or lasts ten years."""
    if slope is None or slope >= 0:
        return 0.0 if avail <= 0 else None
    days = max(avail, 0) / -slope / 86400
    return days if days < 3650 else None


def _backups(prometheus, span):
    """Backups with the time of their last success; also those whose metric disappeared within the last week or range."""
    end = span["end"]
    name = "backup_last_success_timestamp_seconds"
    week = _promql.duration(max(span["range"], 7 * 86400))
    by = "max by (backup, instance) "
    ever = prometheus.instant("backups", "backups", by + "(last_over_time({0}[{1}]))".format(name, week), end)
    if ever is None:
        return None
    now = _backups_now(prometheus, name, end) if ever else []
    done = []
    if ever:
        query = by + "(changes({0}[{1}]))".format(name, _promql.duration(span["range"]))
        done = prometheus.instant("backups", "successes", query, end)

    def key(labels):
        return labels.get("backup", ""), labels.get("instance", "")

    present = None if now is None else {key(labels) for labels, dummy in now if labels["__name__"] == name}
    # A restore may be rehearsed on another host, and on several: the last one counts.
    newest = sorted(now or (), key=lambda entry: entry[1])
    details = {(labels["__name__"], labels.get("backup", "")): value for labels, value in newest}
    successes = {key(labels): round(count) for labels, count in done or ()}
    return [
        {
            "backup": labels.get("backup", ""),
            "instance": labels.get("instance", ""),
            "last": last,
            "age": end - last,
            "successes": successes.get(key(labels), 0) if done is not None else None,
            "gone": present is not None and key(labels) not in present,
            **{field: details.get((metric, labels.get("backup", ""))) for field, metric in _BACKUP_DETAILS.items()},
        }
        for labels, last in sorted(ever, key=lambda entry: entry[1])
    ]


def _rehearsals(prometheus, backups, end):
    """What was restored and compared by the last rehearsal of each backup: one entry for each service."""
    if not any(backup["rehearsed"] for backup in backups or ()):
        return []
    names = "|".join(_REHEARSAL + name for name in _REHEARSED)
    query = 'max by (__name__, backup, service, what, of, snapshot) ({{__name__=~"{0}"}})'.format(names)
    found = prometheus.instant("backups", "rehearsals", query, end)
    values, services = {}, {}
    for labels, value in sorted(found or (), key=lambda entry: entry[1]):
        name, backup = labels["__name__"][len(_REHEARSAL) :], labels.get("backup", "")
        if "service" not in labels:
            values[name, backup] = value
            if "snapshot" in labels:
                values["snapshot", backup] = labels["snapshot"]
            continue
        one = services.setdefault((backup, labels["service"]), {"size": None, "seconds": None, "items": {}})
        if name == "items":
            one["items"].setdefault(labels.get("what", ""), {})[labels.get("of", "")] = value
        else:
            one["size" if name == "size_bytes" else "seconds"] = value
    return [
        {
            "backup": backup,
            "service": service,
            "rehearsed": values.get(("success_timestamp_seconds", backup)),
            "snapshot": values.get(("snapshot", backup)),
            "taken": values.get(("snapshot_timestamp_seconds", backup)),
            "size": one["size"],
            "seconds": one["seconds"],
            "items": [
                {"what": what, "restored": both.get("restored"), "running": both.get("running")}
                for what, both in sorted(one["items"].items())
            ],
        }
        for (backup, service), one in sorted(services.items())
    ]


def _backups_now(prometheus, name, end):
    """What all metrics of backups say, by one request."""
    query = 'max by (__name__, backup, instance) ({{__name__=~"{0}"}})'
    return prometheus.instant("backups", "backups now", query.format("|".join([name, *_BACKUP_DETAILS.values()])), end)


def _checks(prometheus, span, rules):
    """The health of monitoring itself: one entry for each check, with the series that are bad."""
    found = []
    if rules is not None:
        broken = [rule for rule in rules if rule["error"]]
        found.append(
            {
                "check": "Alert rules that cannot be evaluated",
                "value": len(broken),
                "unit": "count",
                "trouble": "alert rules cannot be evaluated",
                "bad": bool(broken),
                "where": [
                    {"alert": rule["alert"], "error": _client.without_secrets(rule["error"])} for rule in broken[:5]
                ],
                "of": len(rules),
            }
        )
    for check in CHECKS:
        query = check.query.replace("RANGE", _promql.duration(span["range"]))
        series = prometheus.instant("monitoring", check.name, query, span["end"])
        if series is None:
            continue
        found.append(judged(check, series))
    return found


def judged(check, series):
    """The result of a check as data; a value of None means that there is no metric."""
    # increase() extrapolates, so that half an event is none and nine tenths are one.
    rounded = [(labels, round(value) if check.unit == "count" else value) for labels, value in series]
    values = [value for dummy, value in rounded]
    value = {"sum": sum, "min": min, "max": max}[check.total](values) if values else None
    bad = {"zero": lambda value: value == 0, "positive": lambda value: value > 0}.get(check.bad, lambda value: False)
    where = [
        ({name: text for name, text in labels.items() if name != "__name__"}, value)
        for labels, value in rounded
        if bad(value)
    ]
    where.sort(key=lambda entry: -entry[1])
    return {
        "check": check.name,
        "value": value,
        "unit": check.unit,
        "trouble": check.trouble,
        "bad": bool(where) or (check.bad == "absent" and not values),
        "where": [{**labels, "value": value} for labels, value in where[:5]],
    }


def thresholds_of(rules):
    """The thresholds in alerting rules, and the rules without an adjustable one.

    :returns: two lists: ``{alert, severity, expr, op, threshold, for}`` and ``{alert, severity, why}``.
    """
    split, left_out = [], []
    for rule in rules:
        if rule["alert"] == "Watchdog":
            continue
        try:
            parts = _promql.split(rule["query"])
        except ValueError as error:
            left_out.append({"alert": rule["alert"], "severity": rule["severity"], "why": str(error)})
            continue
        split.append({"alert": rule["alert"], "severity": rule["severity"], **parts._asdict(), "for": rule["for"]})
    return split, left_out


def _thresholds(prometheus, end, settings, rules):
    """For each threshold how often the alert would have fired, and the 99th percentile of the compared value."""
    given, left_out = settings.get("thresholds"), []
    if given is None:
        given, left_out = thresholds_of(rules or ())
    percentiles, checked = {}, []
    for threshold in given:
        lower = threshold["op"].startswith("<")
        key = (threshold["expr"], lower)
        name = "{0} ({1})".format(threshold["alert"], threshold["severity"] or "no severity")
        if key not in percentiles:
            percentiles[key] = prometheus.instant(
                "thresholds", name + ", percentile", percentile_query(threshold, settings["percentile_range"]), end
            )
        series, hours = with_hours(percentiles[key])
        entry = {**threshold, "series": None if series is None else len(series), "percentile": None, "proposal": None}
        entry["hours"] = max(hours.values(), default=0)
        if series:
            tried = [pair for pair in series if hours.get(frozenset(pair[0].items()), 0) >= LEAST_HOURS]
            labels, value = (min if lower else max)(tried or series, key=lambda pair: pair[1])
            entry["percentile"] = value
            entry["labels"] = {name: text for name, text in labels.items() if name != "__name__"}
            entry["proposal"] = _promql.proposal(value, threshold["op"]) if tried else None
        few = series is not None and len(series) <= THRESHOLD_SERIES
        entry.update(_would_have_fired(prometheus, name, threshold, end, settings["threshold_range"], few))
        checked.append(entry)
    return {
        "range": settings["threshold_range"],
        "percentile_range": settings["percentile_range"],
        "checked": checked,
        "left_out": left_out,
    }


def percentile_query(threshold, length):
    """The value that 99 of 100 moments stayed within: the 99th percentile for an upper threshold, the first for a lower one.

    In addition, as series with the label :data:`HOURS`, the number of full hours with a sample.
    """
    return (
        'quantile_over_time({0}, ({1})[{2}:{3}s]) or label_replace(count_over_time(({1})[{2}:1h]), "{4}", "1", "", "")'
    ).format(
        "0.01" if threshold["op"].startswith("<") else "0.99",
        threshold["expr"],
        _promql.duration(length),
        PERCENTILE_RESOLUTION,
        HOURS,
    )


def with_hours(found):
    """The result of :func:`percentile_query`, split: the percentiles, and labels -> hours."""
    hours = {
        frozenset((name, text) for name, text in labels.items() if name != HOURS): int(value)
        for labels, value in found or ()
        if HOURS in labels
    }
    return None if found is None else [pair for pair in found if HOURS not in pair[0]], hours


def firing_query(threshold):
    """A query that gives 1 for each moment at which the alert would have fired."""
    beyond = "({0}) {1} bool {2}".format(threshold["expr"], threshold["op"], _promql.number(threshold["threshold"]))
    if threshold["for"] < RESOLUTION:
        return "({0}) == 1".format(beyond)
    return "min_over_time(({0})[{1}:{2}s]) == 1".format(beyond, _promql.duration(threshold["for"]), RESOLUTION)


def _would_have_fired(prometheus, name, threshold, end, length, each):
    """How often, for how long in total, and for how many series.

    :param each: whether to count each series; otherwise only the time in which any of them fired.
    """
    step = step_of(length)
    query = firing_query(threshold)
    start = end - length // step * step
    found = prometheus.over("thresholds", name, query if each else "count({0})".format(query), start, end, step)
    if found is None:
        return {"times": None, "firing": None, "each": each}
    spells = [spell for dummy, points in found for spell in episodes(points, step, start, end)]
    return {"times": len(spells), "firing": sum(spell["end"] - spell["start"] for spell in spells), "each": each}
