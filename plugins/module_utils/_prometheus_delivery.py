# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a service sends arrives, by its own counters: they have to grow without those of failures growing with them.

Prometheus sends alerts to Alertmanagers and samples to remote storage; Alertmanager sends messages to channels. That an address
is configured, resolved or listed says nothing of a certificate, a password or a path at the other end.
"""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._findings import IN_LOG, RED, UNVERIFIED, WAIT, Finding

ALERTS_SENT = "prometheus_notifications_sent_total"
ALERTS_FAILED = "prometheus_notifications_errors_total"
ALERTS_DROPPED = "prometheus_notifications_dropped_total"
SAMPLES_SENT = "prometheus_remote_storage_samples_total"
SAMPLES_FAILED = "prometheus_remote_storage_samples_failed_total"
SAMPLES_NEWEST = "prometheus_remote_storage_queue_highest_sent_timestamp_seconds"
SAMPLES_RETRIED = "prometheus_remote_storage_samples_retried_total"
# Of a destination: what was tried, and what of it failed or has to be tried again.
TRIED, FAILED = (ALERTS_SENT, SAMPLES_SENT), (ALERTS_FAILED, SAMPLES_FAILED, SAMPLES_RETRIED)
LABELS = ("alertmanager", "remote_name", "url")
# How often Prometheus sends an alert that goes on, unless --rules.alert.resend-delay says otherwise.
RESEND = 60.0
# A reload longer ago than this was followed by notifications, whatever that flag says within reason.
LONG_AGO = 900.0
# A configuration that was loaded this many seconds after the start of the process is the one of its start: the start is known to a
# second, and Prometheus needs five to hear of the first Alertmanager.
AT_START = 3.0
# An alert that is to fire within this many seconds is waited for, as one that fires.
MOMENT = 15.0
# Seconds for the way to the other end.
MARGIN = 5.0
# Remote storage is sent to at least as often as this (batch_send_deadline), once there are samples.
BATCH = 30.0
# A period over which failures of long ago are told from those of now.
HISTORY = 150.0


class Counts(NamedTuple):
    """What has been tried and what has failed since the service started."""

    tried: float = 0.0
    failed: float = 0.0


def alerts(page, urls):
    """Counts of each Alertmanager.

    :param page: a :class:`_exposition.Page` of Prometheus.
    :param urls: those to which it sends, as it lists them itself.
    """
    tried, failed = page.by(ALERTS_SENT, "alertmanager"), page.by(ALERTS_FAILED, "alertmanager")
    return {url: Counts(tried.get((url,), 0.0), failed.get((url,), 0.0)) for url in urls}


class Stream(NamedTuple):
    """The samples for one remote storage.

    :ivar lost: how many it will never have, as it refused them.
    :ivar none_arrived: whether it has taken none at all yet.
    """

    counts: Counts
    lost: float
    none_arrived: bool


def samples(page):
    """The :class:`Stream` of each remote storage, by its name and URL."""
    by = ("remote_name", "url")
    tried, newest = page.by(SAMPLES_SENT, *by), page.by(SAMPLES_NEWEST, *by)
    failed, retried = page.by(SAMPLES_FAILED, *by), page.by(SAMPLES_RETRIED, *by)
    found = {}
    for key in tried:
        lost = failed.get(key, 0.0)
        found[key] = Stream(Counts(tried[key], lost + retried.get(key, 0.0)), lost, newest.get(key) == 0)
    return found


class Watch:
    """What arrives while a service is looked at again and again."""

    def __init__(self):
        self._before = {}
        self._good = set()
        self._doubted = set()
        self._dropped = None

    def inspect(self, what, counts, settled, history=None):
        """The state of one destination: ``good``, ``failing``, ``waiting``, or ``never`` where nothing was ever tried.

        :param what: names the destination.
        :param counts: its :class:`Counts` now.
        :param settled: whether all that was tried counts, as the configuration is older than the last try.
        :param history: function that tells of the last minutes whether something was tried and nothing failed.
        """
        before = self._before.setdefault(what, counts)
        if counts.failed > before.failed:
            # It is counted as failed first, and then as tried.
            late = counts.failed - before.failed if counts.tried == before.tried else 0
            self._before[what] = Counts(counts.tried + late, counts.failed)
            self._doubt(what)
            return "failing"
        if counts.tried > before.tried:
            self._good.add(what)
        elif what not in self._doubted and settled and counts.tried:
            if not counts.failed or (history is not None and history()):
                self._good.add(what)
        if what in self._good:
            return "good"
        if what in self._doubted or counts.failed >= max(1.0, counts.tried):
            return "failing"
        return "waiting" if counts.tried else "never"

    def _doubt(self, what):
        self._good.discard(what)
        self._doubted.add(what)

    def dropped(self, total, destinations):
        """Take into account how much was thrown away: after that, each destination has to be seen to get something."""
        if self._dropped is not None and total > self._dropped:
            for what in destinations:
                self._before.pop(what, None)
                self._doubt(what)
        self._dropped = total


def check_alerts(watch, counts, settled, resend, fires, history=None):
    """Findings about the alerts that Prometheus sends.

    :param watch: a :class:`Watch`.
    :param counts: URL of an Alertmanager -> :class:`Counts`.
    :param settled: whether its configuration is older than its last notification has to be.
    :param resend: seconds within which a notification is due.
    :param fires: whether an alert fires, so that one is due at all.
    :param history: function of an URL, as :meth:`Watch.inspect` has it.
    """
    for url, now in sorted(counts.items()):
        state = watch.inspect(url, now, settled, (lambda url=url: history(url)) if history else None)
        if state == "failing":
            text = "its alerts do not reach {0}: {1:.0f} of {2:.0f} failed since it started; " + IN_LOG
            yield Finding(WAIT, text.format(url, now.failed, max(now.tried, now.failed)), resend if fires else 0.0)
        elif state != "good" and fires:
            text = "no alert was sent to {0} since its configuration was loaded (one is every {1:.0f} s)"
            yield Finding(WAIT, text.format(url, resend), resend, UNVERIFIED)
        elif state != "good":
            yield Finding(
                UNVERIFIED, "not verified: no notification was sent to {0} yet, as no alert fires".format(url)
            )


def check_queue(page):
    """Findings about alerts that wait to be sent."""
    length = page.value("prometheus_notifications_queue_length") or 0.0
    capacity = page.value("prometheus_notifications_queue_capacity") or 0.0
    if capacity and length >= 0.9 * capacity:
        text = "its queue of alerts that wait to be sent is full: {0:.0f} of {1:.0f}"
        yield Finding(WAIT, text.format(length, capacity))


def check_samples(watch, streams, settled, history=None):
    """Findings about the samples that Prometheus writes to remote storage.

    Samples that are refused are lost, and red. Those that wait for a storage which is away are not: it is none of the
    services that are deployed.

    :param streams: name and URL -> :class:`Stream`; the other parameters are those of :func:`check_alerts`.
    """
    for key, stream in sorted(streams.items()):
        now, past = stream.counts, (lambda key=key: history(key)) if history else None
        state = watch.inspect(key, now, settled, past)
        if state == "good":
            continue
        if not now.failed:
            yield Finding(WAIT, "no sample was sent to {0} yet".format(key[1]), BATCH, UNVERIFIED)
            continue
        text = "its samples do not arrive at {0} ({1}): {2:.0f} were refused, {3:.0f} had to be sent again; " + IN_LOG
        text = text.format(key[1], key[0], stream.lost, now.failed - stream.lost)
        if stream.none_arrived and not stream.lost:
            yield Finding(UNVERIFIED, text)
        else:
            yield Finding(WAIT, text, 0.0 if state == "failing" else BATCH, RED if stream.lost else UNVERIFIED)


def history_query(start, length):
    """What grew within the last seconds of the counters of the server that started at a time, as one query.

    :param start: ``process_start_time_seconds`` of the server, which tells it from others that it scrapes.
    """
    itself = "and on (job, instance) (process_start_time_seconds == {0!r})".format(start)
    return " or ".join(
        'label_replace(increase({0}[{1:.0f}s]) {2}, "of", "{0}", "", "")'.format(name, length, itself)
        for name in TRIED + FAILED
    )


def grew(data):
    """Destination -> :class:`Counts` of the last minutes, from the answer to :func:`history_query`."""
    found = {}
    for series in data.get("result") or ():
        labels = series["metric"]
        key = (
            labels["alertmanager"]
            if "alertmanager" in labels
            else (labels.get("remote_name", ""), labels.get("url", ""))
        )
        tried, failed = found.get(key, Counts())
        value = float(series["value"][1])
        if labels.get("of") in TRIED:
            tried += value
        else:
            failed += value
        found[key] = Counts(tried, failed)
    return found
