# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Prometheus is verified for: targets, service discoveries, rules, Alertmanagers, and whether what it sends arrives."""

from __future__ import annotations

import contextlib
import json
from urllib.parse import quote, urlsplit

from ansible_collections.vigil.monitoring.plugins.module_utils import (
    _client,
    _duration,
    _prometheus_delivery,
    _prometheus_discovery,
    _targets,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._findings import (
    GOOD,
    RED,
    UNVERIFIED,
    WAIT,
    Finding,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._requests import Stop

RELOADED_AT = "prometheus_config_last_reload_success_timestamp_seconds"
# Seconds after its start until Prometheus hands what it has discovered to those who scrape.
DISCOVERY = 10.0
# More than this of one kind are only counted.
REASONS = 20
# More targets than these are not all requested where those of some jobs are enough, each of which takes a request.
MANY = 2_000
FEW_JOBS = 30
# Without the alerts that fire, which may be as many as there are targets. Versions that do not know it send them.
RULES = "/api/v1/rules?exclude_alerts=true"
TARGETS = "/api/v1/targets?state=active"
STRANGERS = (
    "it sends its alerts also to {0}, which the inventory does not have: run site.yml to deploy the Alertmanagers of the inventory, or put"
    " the host back into its group"
)


class PrometheusServer:
    """The check of this name.

    :param check: the :class:`_health_check.HealthCheck` that it belongs to.
    :param given: dict: ``agent``, ``expect`` (list of dicts with ``job`` and ``instance``), ``pools``, ``ignore``, ``rules``,
        ``alertmanagers``, ``discoveries``; ``orphans``, the value of monitoring_orphans.
    """

    def __init__(self, check, given):
        self.check, self.given = check, given
        self.watch = _prometheus_delivery.Watch()
        self.discoveries = _prometheus_discovery.Watch()
        self.resend = self.past = None

    def inspect(self, page, reply):
        """Findings about it now.

        :param page: its metrics, a :class:`_exposition.Page`.
        :param reply: the answer that they came in.
        """
        now = _client.date_of(reply)
        loaded = loaded_at(page, now)
        age = None if loaded is None or now is None else max(0.0, now - loaded)
        yield self._check_targets(page, loaded)
        ignored = _targets.compile_ignore(self.given.get("ignore"))
        jobs = {job: by for job, by in (self.given.get("discoveries") or {}).items() if not ignored(job, "")}
        yield from _prometheus_discovery.check(self.discoveries, page, jobs, age)
        fires = None
        if not self.given.get("agent"):
            rules = data_of(self.check.get(RULES))
            yield check_rules(rules, self.given.get("rules"))
            fires = firing_interval(rules)
            wanted = self.given.get("alertmanagers") or []
            if wanted or page.value("prometheus_notifications_alertmanagers_discovered"):
                known = data_of(self.check.get("/api/v1/alertmanagers"))
                yield check_alertmanagers(known, wanted)
                loaded_long_ago = age is None or age > DISCOVERY
                yield check_strangers(known, wanted, self.given.get("orphans") or "ignore", loaded_long_ago)
                urls = sorted({str(found.get("url")) for found in known.get("activeAlertmanagers") or ()})
                yield from self._check_alerts(page, urls, age, fires)
        past = self._history(page, age)
        settled = age is None or age > _prometheus_delivery.BATCH
        yield from _prometheus_delivery.check_samples(self.watch, _prometheus_delivery.samples(page), settled, past)

    def _check_alerts(self, page, urls, age, fires):
        """Findings about alerts on their way to the Alertmanagers with these URLs."""
        self.watch.dropped(page.value(_prometheus_delivery.ALERTS_DROPPED) or 0.0, urls)
        settled, due = True, _prometheus_delivery.RESEND
        if age is not None and age < _prometheus_delivery.LONG_AGO:
            due = self._resend() + (fires or 0.0) + _prometheus_delivery.MARGIN
            settled = age > due or loaded_at_its_start(page)
        past = self._history(page, age)
        counts = _prometheus_delivery.alerts(page, urls)
        yield from _prometheus_delivery.check_alerts(self.watch, counts, settled, due, fires is not None, past)
        yield from _prometheus_delivery.check_queue(page)

    def _resend(self):
        """Seconds after which it sends an alert again that goes on."""
        if self.resend is None:
            self.resend = _prometheus_delivery.RESEND
            with contextlib.suppress(Stop, ValueError, TypeError):
                flags = data_of(self.check.get("/api/v1/status/flags"))
                self.resend = _duration.seconds(flags["rules.alert.resend-delay"])
        return self.resend

    def _history(self, page, age):
        """A function that says of a destination whether the last minutes saw something sent and nothing fail."""
        started = page.value("process_start_time_seconds")
        if started is None or age is None or age < _prometheus_delivery.HISTORY or self.given.get("agent"):
            return None

        def asked(destination):
            if self.past is None:
                self.past = {}
                query = _prometheus_delivery.history_query(started, _prometheus_delivery.HISTORY)
                with contextlib.suppress(Stop, ValueError):
                    self.past = _prometheus_delivery.grew(
                        data_of(self.check.get("/api/v1/query?query=" + quote(query)))
                    )
            found = self.past.get(destination)
            return found is not None and found.tried > 0 and not found.failed

        return asked

    def _check_targets(self, page, loaded):
        ignored = _targets.compile_ignore(self.given.get("ignore"))
        expect = expected(self.given)
        pools = self.given.get("pools") or ()
        wanted, sizes = {*pools, *(job for job, dummy in expect)}, pool_sizes(page)
        targets = verdict = None
        if are_enough(wanted, sizes) and self._have_their_jobs_alone(wanted, sizes):
            targets = self._targets_of(sorted(wanted))
            verdict = _targets.judge(targets, expect, ignored, pools=pools, since=loaded)
        if verdict is None or verdict.missing:
            # Of one that is missing, the others may tell why.
            targets = self._targets(TARGETS)
            verdict = _targets.judge(targets, expect, ignored, pools=pools, since=loaded)
        self.check.line["targets"] = [verdict.up, verdict.expected]
        return check_targets(verdict, targets)

    def _targets(self, path):
        return _targets.parse(self.check.get(path))

    def _targets_of(self, pools):
        found = []
        for pool in pools:
            some = self._targets(TARGETS + "&scrapePool=" + quote(pool, safe=""))
            if any(target.pool != pool for target in some):
                # Versions before 2.42 return all of them.
                return some
            found += some
        return found

    def _have_their_jobs_alone(self, wanted, sizes):
        """Whether the label job of all targets of some pools is the pool's name, and that of no other target.

        So no target of another pool has the labels of one of theirs, and may be down.
        """
        if self.given.get("agent"):
            # It answers no queries.
            return False
        try:
            counted = data_of(self.check.get("/api/v1/query?query=" + quote(count_query(wanted))))["result"]
            found = {one["metric"]["job"]: int(one["value"][1]) for one in counted}
        except (Stop, ValueError, KeyError, TypeError):
            return False
        return found == {pool: sizes[pool] for pool in wanted}


def expected(given):
    """Pairs of job and instance that a check is given."""
    return [(entry["job"], entry["instance"]) for entry in given.get("expect") or ()]


def pool_sizes(page):
    """Name of a scrape configuration -> number of its targets, as far as Prometheus says so.

    :param page: its metrics, a :class:`_exposition.Page`.
    """
    return {pool: int(size) for (pool,), size in page.by("prometheus_target_scrape_pool_targets", "scrape_job").items()}


def are_enough(wanted, sizes):
    """Whether the targets of some scrape configurations are so few of all that the others need not be requested.

    :param wanted: names of scrape configurations.
    :param sizes: see :func:`pool_sizes`.
    """
    total = sum(sizes.values())
    some = 0 < len(wanted) <= FEW_JOBS and wanted <= set(sizes)
    return some and total > MANY and 2 * sum(sizes[pool] for pool in wanted) <= total


def count_query(jobs):
    """A query that counts the targets with each of these labels job, as far as they have been scraped."""
    each = "count by (job) (up{{job={0}}})"
    return " or ".join(each.format(json.dumps(job, ensure_ascii=False)) for job in sorted(jobs))


class PrometheusCatchUp:
    """The check of this name: whether a Prometheus does again what it did before it was changed.

    What it has found is none of its business: a target that is down, or a rule that fails, was so before or is said by the
    verification of the whole.

    :param check: the :class:`_health_check.HealthCheck` that it belongs to.
    :param given: dict: ``agent``, and ``expect`` (list of dicts with ``job`` and ``instance``).
    """

    def __init__(self, check, given):
        self.check, self.given = check, given

    def inspect(self, page, reply):
        """Findings about it now.

        :param page: its metrics, a :class:`_exposition.Page`.
        :param reply: the answer that they came in.
        """
        targets = _targets.parse(self.check.get(TARGETS))
        expect = expected(self.given)
        yield check_scraped(targets, expect, loaded_at(page, _client.date_of(reply)))
        if not self.given.get("agent"):
            yield check_evaluated(data_of(self.check.get(RULES)))


def loaded_at(page, now):
    """When it has loaded its configuration, in seconds since the epoch; None where that is not known.

    :param page: its metrics, a :class:`_exposition.Page`.
    :param now: the time of its host; None where that is not known.
    """
    loaded = page.value(RELOADED_AT)
    # Where its clock was set back, the time of the last reload says nothing.
    return None if loaded is not None and now is not None and loaded > now + 1 else loaded


def check_scraped(targets, expect, loaded):
    """Targets that are not known yet, or not scraped since the configuration was loaded.

    :param targets: list of :class:`_targets.Target`.
    :param expect: pairs of job and instance.
    :param loaded: when it has loaded its configuration, in seconds since the epoch; None where that is not known.
    """
    missing = set(expect).difference((target.job, target.instance) for target in targets)
    if missing:
        return Finding(WAIT, "it does not know {0} of {1} expected targets".format(len(missing), len(set(expect))))
    waiting = [target for target in targets if not _targets.is_scraped(target, loaded)]
    if not waiting:
        return GOOD
    due = max(_duration.seconds(target.interval) for target in waiting) + DISCOVERY
    return Finding(WAIT, "it has not scraped {0} of {1} targets yet".format(len(waiting), len(targets)), due)


def check_evaluated(data):
    """Rules that have not been evaluated since they were loaded.

    :param data: ``data`` of ``/api/v1/rules``.
    """
    waiting = [
        float(group.get("interval") or 0)
        for group in data.get("groups") or ()
        if any(rule.get("health") == "unknown" for rule in group.get("rules") or ())
    ]
    if not waiting:
        return GOOD
    text = "it has not evaluated {0} rule group{1} yet".format(len(waiting), "s" if waiting[1:] else "")
    return Finding(WAIT, text, max(waiting) + DISCOVERY)


def data_of(payload):
    """The ``data`` of an answer of Prometheus' API.

    :raises ValueError: when it is none, in words.
    """
    try:
        answer = json.loads(payload)
    except ValueError as error:
        raise ValueError("the answer is not JSON") from error
    if not isinstance(answer, dict) or answer.get("status") != "success" or not isinstance(answer.get("data"), dict):
        raise ValueError("the answer is not one of Prometheus' API")
    return answer["data"]


def check_rules(data, wanted):
    """Rules that fail, and rules that are not there.

    :param data: ``data`` of ``/api/v1/rules``.
    :param wanted: whether there have to be rules.
    """
    groups = data.get("groups") or []
    failing, waiting = [], []
    for group in groups:
        for rule in group.get("rules") or ():
            if rule.get("health") == "err":
                failing.append((group, rule))
            elif rule.get("health") != "ok":
                waiting.append((group, rule))
    if failing:
        rows = [(group.get("name", ""), rule.get("name", ""), rule.get("lastError") or "") for group, rule in failing]
        text = "{0} rule{1} fail{2}:\n".format(len(rows), "s" if len(rows) > 1 else "", "" if len(rows) > 1 else "s")
        left = len(rows) - REASONS
        return Finding(WAIT, text + _targets.table(("GROUP", "RULE", "WHY"), rows[:REASONS], max(0, left)))
    if wanted and not any(group.get("rules") for group in groups):
        return Finding(WAIT, "it has loaded no rules, though the inventory gives it some")
    if waiting:
        interval = max(float(group.get("interval") or 0) for group, dummy in waiting)
        text = "{0} rule{1} not been evaluated yet".format(len(waiting), " has" if len(waiting) == 1 else "s have")
        return Finding(WAIT, "{0} (every {1:g} s)".format(text, interval), interval + DISCOVERY)
    return GOOD


def loaded_at_its_start(page):
    """Whether the configuration of a Prometheus is the one with which it started, so that all its counters are of it.

    It tells when it has loaded one last, and not how often. A reload this soon would be before it knows any Alertmanager.

    :param page: its metrics, a :class:`_exposition.Page`.
    """
    started, loaded = page.value("process_start_time_seconds"), page.value(RELOADED_AT)
    return started is not None and loaded is not None and abs(loaded - started) <= _prometheus_delivery.AT_START


def firing_interval(data):
    """Seconds within which an alert is sent at the latest that fires or is about to; None where none is.

    :param data: ``data`` of ``/api/v1/rules``.
    """
    found = []
    for group in data.get("groups") or ():
        for rule in group.get("rules") or ():
            wait = 0.0 if rule.get("state") == "firing" else float(rule.get("duration") or 0)
            if rule.get("state") in ("firing", "pending") and wait <= _prometheus_delivery.MOMENT:
                found.append(float(group.get("interval") or 0) + wait)
    return max(found) if found else None


def check_targets(verdict, targets):
    """Targets that are missing, down, or not scraped yet.

    :param verdict: of the targets that are expected.
    :param targets: all of them.
    """
    if verdict.healthy:
        return GOOD
    due = 0.0
    if not verdict.missing and all(target.health == "unknown" for target in verdict.down):
        due = max((_duration.seconds(target.interval) for target in verdict.down), default=0.0) + DISCOVERY
    return Finding(WAIT, _targets.explain(verdict, targets), due)


def _listed(data):
    """The addresses of the Alertmanagers that Prometheus sends its alerts to.

    :param data: ``data`` of ``/api/v1/alertmanagers``.
    """
    return {
        urlsplit(found.get("url") or "").netloc.rpartition("@")[2] for found in data.get("activeAlertmanagers") or ()
    }


def check_alertmanagers(data, wanted):
    """Alertmanagers that Prometheus should tell and does not know.

    :param data: ``data`` of ``/api/v1/alertmanagers``.
    :param wanted: addresses with ports.
    """
    known = _listed(data)
    missing = sorted(address for address in set(wanted) if address not in known)
    if not missing:
        return GOOD
    listed = ", ".join(missing[:REASONS]) + (
        " and {0} more".format(len(missing) - REASONS) if missing[REASONS:] else ""
    )
    return Finding(
        WAIT, "it does not alert {0} of {1} Alertmanagers: {2}".format(len(missing), len(set(wanted)), listed)
    )


def check_strangers(data, wanted, orphans, settled):
    """Alertmanagers that Prometheus sends its alerts to and that have left the inventory.

    :param data: ``data`` of ``/api/v1/alertmanagers``.
    :param wanted: addresses with ports: all that the inventory has.
    :param orphans: what they are: ``warn``, ``fail`` or ``ignore``.
    :param settled: whether its configuration is older than it takes to forget those that have left it.
    """
    strange = sorted(_listed(data).difference(wanted))
    if orphans == "ignore" or not strange:
        return GOOD
    state = RED if orphans == "fail" else UNVERIFIED
    return Finding(state if settled else WAIT, STRANGERS.format(", ".join(strange[:REASONS])), otherwise=state)
