# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service reports about itself, and whether it is healthy. Answers in, verdicts out.

Everything is read off a service's own metrics, the one interface that all of them share and that is there while a long
write-ahead log is still being replayed:

* ``<prefix>_build_info{version="…"}``, or what ``version_metric`` and ``version_label`` name: the version that serves.
* ``<prefix>_config_last_reload_successful``: 1 when the configuration on disk was accepted.
* ``<prefix>_config_last_reload_success_timestamp_seconds``: when that was, in seconds since the epoch.

What sets a service apart arrives as data: the option ``health`` of the module service.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils import _promql
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize
from ansible_collections.vigil.monitoring.plugins.module_utils._version import same_version, version_key

RELOAD, RESTART = "reload", "restart"
# The suboptions of `health` that set a service apart, beside those that say where and how it is reached.
PARTICULARS = {
    "metrics_prefix": {"type": "str"},
    "version_metric": {"type": "str"},
    "version_label": {"type": "str", "default": "version"},
    "ready_path": {"type": "str"},
    "on_config_change": {"type": "str", "choices": [RELOAD, RESTART]},
    "reload_delay": {
        "type": "dict",
        "options": {
            "metric": {"type": "str", "required": True},
            "flag": {"type": "str", "required": True},
            "default": {"type": "int", "required": True},
        },
    },
    "dependency_metric": {"type": "str"},
    "dependency": {"type": "str", "default": "dependency"},
    "loaded_config_path": {"type": "str"},
    "config_hash_metric": {"type": "str"},
    "loaded_directories": {"type": "list", "elements": "str", "default": []},
    "dry_run_argument": {"type": "str"},
    "tls_variable": {"type": "str"},
}
# All suboptions of `health`.
HEALTH_OPTIONS = {
    "url": {"type": "str", "required": True},
    "other_urls": {"type": "list", "elements": "str", "default": []},
    "metrics_path": {"type": "str", "default": "/metrics"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "client_pem": {"type": "str", "no_log": True},
    **PARTICULARS,
}
RELOAD_SUCCESSFUL = "_config_last_reload_successful"
RELOADED_AT = "_config_last_reload_success_timestamp_seconds"


# Answers below 500 that may be others in a moment.
PASSING = (408, 425, 429)
# What `Answer.why` means for a person: {0} are the words of the other side, {1} is the prefix of its variables, {2} the variable
# in which TLS of its web interface is configured, {3} the HTTP status.
REFUSALS = {
    "certificate": "its certificate is not trusted ({0}); correct the certificate in {2}, or the CA in {1}_health_ca",
    "stranger": ("client certificate required ({0}); set {1}_health_client_cert and {1}_health_client_key"),
    "login": "authentication failed with {1}_health_username and {1}_health_password (HTTP {3})",
    "plain": "the server does not use TLS ({0}), and {2} enables it",
    "tls": "the server requires TLS, and {2} does not enable it",
    "other": "the server does not speak HTTP ({0})",
    "file": "{0}; see {1}_health_ca, {1}_health_client_cert and {1}_health_client_key",
}


class Reported(NamedTuple):
    """What a service reports about itself in its metrics; None where it reports nothing.

    :ivar dependency_up: whether it reaches what it depends on.
    :ivar configuration: what tells the configuration that it has loaded from others.
    """

    version: Optional[str]
    reload_successful: Optional[bool]
    reloaded_at: Optional[float]
    dependency_up: Optional[bool] = None
    configuration: Optional[str] = None


class Verdict(NamedTuple):
    """The outcome of one health check.

    :ivar state: ``ok``, ``wait`` (may still become ready), ``wrong`` (waiting will not help), ``refused`` (nor will it here,
        once whoever answered was no one who is just leaving) or ``unverified``.
    :ivar reason: a sentence for the person who reads the failure.
    """

    state: str
    reason: str


def complete(health, name):
    """The option ``health`` of the module service, with what follows from the service's name.

    :param health: as it was given; the defaults of its suboptions may be missing.
    :param name: prefix of the variables that messages name, and of metrics where nothing else is given.
    """
    options = {option: spec.get("default") for option, spec in HEALTH_OPTIONS.items()}
    options.update({option: value for option, value in health.items() if value is not None})
    prefix = options["metrics_prefix"] or name
    options.update(
        name=name,
        metrics_prefix=prefix,
        version_metric=options["version_metric"] or prefix + "_build_info",
        tls_variable=options["tls_variable"] or name + "_web_config",
    )
    return options


def reported(health, metrics):
    """Read what a service reports about itself off its metrics.

    :param health: result of :func:`complete`.
    :param metrics: text in Prometheus' exposition format.
    """
    label = (health["version_metric"], health["version_label"])
    build = re.search(r'(?m)^{0}\{{[^}}\n]*\b{1}="([^"]*)"'.format(*label), metrics)
    successful = _number(metrics, health["metrics_prefix"] + RELOAD_SUCCESSFUL)
    dependency, hashed = health["dependency_metric"], health["config_hash_metric"]
    reached = _number(metrics, dependency) if dependency else None
    loaded = re.search(r"(?m)^{0}(?:\{{[^}}\n]*\}})? (\S+)$".format(hashed), metrics) if hashed else None
    return Reported(
        build.group(1) if build else None,
        None if successful is None else successful == 1,
        _number(metrics, health["metrics_prefix"] + RELOADED_AT),
        None if reached is None else reached == 1,
        loaded.group(1) if loaded else None,
    )


def metric_names(health):
    """The names of all metrics that :func:`reported` reads."""
    prefix = health["metrics_prefix"]
    names = [health["version_metric"], prefix + RELOAD_SUCCESSFUL, prefix + RELOADED_AT]
    return names + [name for name in (health["config_hash_metric"], health["dependency_metric"]) if name]


def lost_dependency(health, metrics):
    """That a service cannot reach what it depends on: a sentence, or None.

    :param health: result of :func:`complete`.
    :param metrics: text in Prometheus' exposition format.
    """
    if reported(health, metrics).dependency_up is not False:
        return None
    return "its {1} is unreachable ({0} is 0)".format(health["dependency_metric"], health["dependency"])


def reload_delay(health, metrics, argv):
    """Seconds for which a reload may be held up by what the service has to bring to an end before.

    Prometheus stops the endpoints that it writes to one after the other, and gives each its deadline to take what is left:
    twice, where it was just about to change the number of its shards.

    :param health: result of :func:`complete`; ``reload_delay`` has the metric with a series for each of them, the flag of
        the deadline, and its default in seconds.
    :param metrics: text in Prometheus' exposition format, from before the reload.
    :param argv: its arguments.
    """
    delay = health["reload_delay"]
    if not delay:
        return 0
    endpoints = len(re.findall(r"(?m)^{0}\{{".format(delay["metric"]), metrics))
    flag = "--{0}=".format(delay["flag"])
    given = [word[len(flag) :] for word in argv if word.startswith(flag)]
    try:
        deadline = _promql.seconds(given[-1]) if given else delay["default"]
    except ValueError:
        # The service runs with it, so it is a duration: one of less than a second.
        deadline = 1
    return endpoints * 2 * deadline


def _number(metrics, name):
    match = re.search(r"(?m)^{0}(?:\{{[^}}\n]*\}})? (\S+)$".format(name), metrics)
    return float(match.group(1)) if match else None


def downgrade_problem(name, written_by, wanted, within_line=False):
    """Why data written by one version is not handed to another: a sentence, or None.

    No version promises that an older one reads all that it has written, whatever it was configured to write: some refuse, and
    some leave out without a word what they do not know.

    :param name: of the service.
    :param written_by: newest version that has opened the data, or None when that is not known.
    :param wanted: version that is to open it.
    :param within_line: whether versions of one line, with the same first two numbers, read each other's data.
    """
    if not written_by or version_key(wanted) >= version_key(written_by):
        return None
    if within_line and version_key(wanted)[0][:2] == version_key(written_by)[0][:2]:
        return None
    return "the data was written by {0} {1}, and {2} is older: it may not read all of it".format(
        name, written_by, wanted
    )


def judge(health, metrics, ready, wanted_version, reloaded_after=None, failed_before=False):
    """Whether a service is healthy: the expected version, ready, its configuration loaded.

    :param health: result of :func:`complete`.
    :param metrics: answer to the request for its metrics.
    :param ready: answer to the request for its ready path, or None where there is none.
    :param wanted_version: specified version, or None for any.
    :param reloaded_after: seconds since the epoch; a reload has to be newer than this. None: any is good.
    :param failed_before: whether the reload before the one that is awaited had failed, so that its word still stands.
    """
    for answer, what in ((metrics, "metrics"), (ready, "ready path")):
        if answer is None:
            continue
        lasting = REFUSALS.get(getattr(answer, "why", ""))
        if lasting:
            named = (health["name"], health["tls_variable"], answer.status)
            return Verdict("refused", lasting.format(answer.text.strip()[:200], *named))
        if answer.status == 0:
            return Verdict("wait", "no response: {0}".format(answer.text))
        if answer.status in (401, 403):
            return Verdict("unverified", "authentication required (HTTP {0})".format(answer.status))
        if answer.status != 200:
            # A service that is coming up says 503; what is not there, or is elsewhere, is so for good.
            lasts = 300 <= answer.status < 500 and answer.status not in PASSING
            said = sanitize(answer.text, 200)
            return Verdict(
                "refused" if lasts else "wait", "its {0} answers HTTP {1}: {2}".format(what, answer.status, said)
            )
    said = reported(health, metrics.text)
    if said.version is None:
        found = "another program than {name} responds: its metrics do not have {version_metric}"
        return Verdict("wrong", found.format(**health))
    running = "version {0}".format(said.version) if said.version else "a version that it does not report"
    if wanted_version and not same_version(said.version, wanted_version):
        return Verdict("wrong", "{0} is running, {1} is expected".format(running, wanted_version))
    if said.reload_successful is False:
        return Verdict("wait" if failed_before else "wrong", "its last configuration reload failed")
    if reloaded_after is not None and (said.reloaded_at or 0) < reloaded_after:
        return Verdict("wait", "it has not loaded the new configuration yet")
    return Verdict("ok", running + " serves")
