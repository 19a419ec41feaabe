# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each service says about itself, and whether that is what was asked for. Answers in, verdicts out.

Everything is read off a service's own metrics, the one interface that all of them share and that is there while a long
write-ahead log is still being replayed:

* ``<program>_build_info{version="…"}``, or what ``Service.version_in`` names: the version that serves.
* ``<program>_config_last_reload_successful``: 1 when the configuration on disk was accepted.
* ``<program>_config_last_reload_success_timestamp_seconds``: when that was, in seconds since the epoch.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils import _promql
from ansible_collections.vigil.monitoring.plugins.module_utils._clean import clean
from ansible_collections.vigil.monitoring.plugins.module_utils._services import SERVICES
from ansible_collections.vigil.monitoring.plugins.module_utils._version import same_version, version_key

# What Prometheus has by default as --storage.remote.flush-deadline, in seconds.
FLUSH_DEADLINE = 60

RELOAD_SUCCESSFUL = "_config_last_reload_successful"
RELOADED_AT = "_config_last_reload_success_timestamp_seconds"


# Answers below 500 that may be others in a moment.
PASSING = (408, 425, 429)
# What `Answer.why` means for a person: {0} are the words of the other side, {1} is the role, {2} the suffix of the variable
# in which its web interface is configured, {3} the HTTP status.
REFUSALS = {
    "certificate": "its certificate is refused ({0}); correct the certificate in {1}_{2}, or the authority in {1}_health_ca",
    "stranger": (
        "it wants to see a client certificate that it trusts ({0}); give one with {1}_health_client_cert and"
        " {1}_health_client_key"
    ),
    "login": "it does not accept {1}_health_username and {1}_health_password (HTTP {3})",
    "plain": "what answers there speaks no TLS ({0}), and {1}_{2} asks for it",
    "tls": "what answers there speaks TLS only, and nothing in {1}_{2} asks for it",
    "other": "what answers there does not speak HTTP ({0})",
    "file": "{0}; see {1}_health_ca, {1}_health_client_cert and {1}_health_client_key",
}


class Words(NamedTuple):
    """What a service says about itself in its metrics; None where it says nothing.

    :ivar dependency_up: whether it reaches what it depends on.
    :ivar configuration: what tells the configuration that it has loaded from others.
    """

    version: Optional[str]
    reload_successful: Optional[bool]
    reloaded_at: Optional[float]
    dependency_up: Optional[bool] = None
    configuration: Optional[str] = None


class Verdict(NamedTuple):
    """The outcome of one look at a service.

    :ivar state: ``ok``, ``wait`` (may still become ready), ``wrong`` (waiting will not help), ``refused`` (nor will it here,
        once whoever answered was no one who is just leaving) or ``unproven``.
    :ivar reason: a sentence for the person who reads the failure.
    """

    state: str
    reason: str


def words(kind, metrics):
    """Read a service's own words off its metrics.

    :param kind: key of ``SERVICES``; also the prefix of its metrics.
    :param metrics: text in Prometheus' exposition format.
    """
    build = re.search(r'(?m)^{0}\{{[^}}\n]*\b{1}="([^"]*)"'.format(*version_metric(kind)), metrics)
    successful = _number(metrics, kind + RELOAD_SUCCESSFUL)
    dependency = SERVICES[kind].dependency
    reached = _number(metrics, dependency[0]) if dependency else None
    hashed = SERVICES[kind].hashed
    loaded = re.search(r"(?m)^{0}(?:\{{[^}}\n]*\}})? (\S+)$".format(hashed), metrics) if hashed else None
    return Words(
        build.group(1) if build else None,
        None if successful is None else successful == 1,
        _number(metrics, kind + RELOADED_AT),
        None if reached is None else reached == 1,
        loaded.group(1) if loaded else None,
    )


def telling_metrics(kind):
    """The names of all metrics that :func:`words` reads."""
    service = SERVICES[kind]
    names = [version_metric(kind)[0], kind + RELOAD_SUCCESSFUL, kind + RELOADED_AT]
    names += [service.hashed] if service.hashed else []
    return names + ([service.dependency[0]] if service.dependency else [])


def version_metric(kind):
    """The metric that tells a service's version, and the label that holds it."""
    return SERVICES[kind].version_in or (kind + "_build_info", "version")


def lost_dependency(kind, metrics):
    """That a service cannot reach what it depends on: a sentence, or None.

    :param metrics: text in Prometheus' exposition format.
    """
    if words(kind, metrics).dependency_up is not False:
        return None
    return "its {1} does not answer ({0} is 0)".format(*SERVICES[kind].dependency)


def flush_seconds(metrics, argv):
    """How long endpoints that Prometheus writes to may hold up a reload which changes them or takes them away.

    It stops them one after the other, and gives each its deadline to take what is left: twice, where it was just about
    to change the number of its shards.

    :param metrics: what it said before the reload.
    :param argv: its arguments.
    """
    endpoints = len(re.findall(r"(?m)^prometheus_remote_storage_shards\{", metrics))
    flag = "--storage.remote.flush-deadline="
    given = [word[len(flag) :] for word in argv if word.startswith(flag)]
    try:
        deadline = _promql.seconds(given[-1]) if given else FLUSH_DEADLINE
    except ValueError:
        # Prometheus runs with it, so it is a duration: one of less than a second.
        deadline = 1
    return endpoints * 2 * deadline


def _number(metrics, name):
    match = re.search(r"(?m)^{0}(?:\{{[^}}\n]*\}})? (\S+)$".format(name), metrics)
    return float(match.group(1)) if match else None


def downgrade_problem(kind, written_by, wanted):
    """Why data written by one version is not handed to another: a sentence, or None.

    No version promises that an older one reads all that it has written, whatever it was asked to write: some refuse, and
    some leave out without a word what they do not know.

    :param written_by: newest version that has opened the data, or None when that is not known.
    :param wanted: version that is to open it.
    """
    if not written_by or version_key(wanted) >= version_key(written_by):
        return None
    return "the data was written by {0} {1}, and {2} is older: it may not read all of it".format(
        kind, written_by, wanted
    )


def judge(kind, metrics, ready, wanted_version, reloaded_after=None, failed_before=False):
    """Whether a service serves what was asked for.

    :param kind: key of ``SERVICES``.
    :param metrics: answer to the request for its metrics.
    :param ready: answer to the request for its ready path, or None where there is none.
    :param wanted_version: version asked for, or None for any.
    :param reloaded_after: seconds since the epoch; a reload has to be newer than this. None: any is good.
    :param failed_before: whether the reload before the one that is awaited had failed, so that its word still stands.
    """
    for answer, what in ((metrics, "metrics"), (ready, "ready path")):
        if answer is None:
            continue
        lasting = REFUSALS.get(getattr(answer, "why", ""))
        if lasting:
            service = SERVICES[kind]
            return Verdict("refused", lasting.format(answer.text.strip()[:200], kind, service.web, answer.status))
        if answer.status == 0:
            return Verdict("wait", "it does not answer: {0}".format(answer.text))
        if answer.status in (401, 403):
            return Verdict("unproven", "it wants to know who asks (HTTP {0})".format(answer.status))
        if answer.status != 200:
            # A service that is coming up says 503; what is not there, or is elsewhere, is so for good.
            lasts = 300 <= answer.status < 500 and answer.status not in PASSING
            said = clean(answer.text, 200)
            return Verdict(
                "refused" if lasts else "wait", "its {0} answers HTTP {1}: {2}".format(what, answer.status, said)
            )
    said = words(kind, metrics.text)
    if said.version is None:
        metric = version_metric(kind)[0]
        return Verdict("wrong", "what answers there is no {0}: its metrics hold no {1}".format(kind, metric))
    if wanted_version and not same_version(said.version, wanted_version):
        return Verdict("wrong", "version {0} answers, {1} was asked for".format(said.version, wanted_version))
    if said.reload_successful is False:
        return Verdict("wait" if failed_before else "wrong", "it says that its last configuration reload failed")
    if reloaded_after is not None and (said.reloaded_at or 0) < reloaded_after:
        return Verdict("wait", "it has not loaded the new configuration yet")
    return Verdict("ok", "version {0} serves".format(said.version))
