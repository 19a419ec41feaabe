# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one check of a service found, and which state counts."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._health import RELOAD, reported
from ansible_collections.vigil.monitoring.plugins.module_utils._version import same_version

OK, WAIT, RED, UNVERIFIED = "ok", "wait", "failed", "unverified"
# How a finding ends that the service's log explains.
IN_LOG = "its log says why"


class Finding(NamedTuple):
    """What one check found.

    :ivar state: ``ok``; ``wait`` (may become good); ``failed`` (will not); ``unverified`` (cannot be told).
    :ivar text: why, for people; empty when it is good.
        What is good may have a word, too.
    :ivar due: seconds that Prometheus itself takes its time until it can be good, as it looks only every so often.
    :ivar otherwise: what it is where it has not become good when it was due.
    """

    state: str
    text: str = ""
    due: float = 0.0
    otherwise: str = RED


GOOD = Finding(OK)


def check_version(health, metrics, wanted_version):
    """A service's version and its last reload, from its metrics.

    :param health: result of :func:`_health.complete`.
    :param wanted_version: specified version; empty for any.
    :returns: the version that serves, or None, and a :class:`Finding`.
    """
    found = reported(health, metrics)
    if found.version is None:
        return None, Finding(RED, "another program than {0} responds".format(health["name"]))
    if wanted_version and not same_version(found.version, wanted_version):
        return found.version, Finding(
            RED, "version {0} is running, {1} is expected".format(found.version, wanted_version)
        )
    if health["on_config_change"] == RELOAD and found.reload_successful is False:
        return found.version, Finding(
            RED, "its last reload failed: it does not serve the configuration that is on disk; its log says why"
        )
    return found.version, GOOD


def worst(states):
    """The state that counts."""
    for state in (RED, WAIT, UNVERIFIED):
        if state in states:
            return state
    return OK
