# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's dashboards as an inventory wants them: its thresholds and its runbooks. Data in, data out.

In the files, a threshold that is the number of an alert says which, and a link to a runbook says that it is one: both with keys
that Grafana does not read, and that are not deployed.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from ansible_collections.vigil.monitoring.plugins.plugin_utils._rules import (
    alerts_of,
    check_thresholds,
    resolve,
    runbook,
)

# Beside ``value`` and ``color``: alert, severity and parameter, and what makes the panel's number of it.
AT = "vigil_alert"
# Beside ``url``.
RUNBOOK = "vigil_runbook"
# Beside ``url``, whose parameter of that name is the name of a data source.
ALERTMANAGER = "vigil_alertmanager"
_NAMED = re.compile(r"(?<=[?&]alertmanager=)[^&]*")


def adjusted(dashboard, packs, thresholds, runbook_url, alertmanager=None):
    """A dashboard of the collection with the thresholds, the runbooks and the Alertmanager of an inventory.

    :param dashboard: its parsed JSON, which is left as it is.
    :param packs: as :func:`_rules.load_packs` returns them.
    :param thresholds: ``prometheus_thresholds``. Invalid ones move nothing: the role prometheus refuses them.
    :param runbook_url: ``prometheus_runbook_url``; empty for no links to runbooks, None for those of the file.
    :param alertmanager: name of the data source; empty for no links to it, None for those of the file.
    """
    alerts = alerts_of(packs)
    valid = thresholds and not list(check_thresholds(packs, thresholds))
    return _walked(dashboard, alerts, thresholds if valid else {}, runbook_url, alertmanager)


def _walked(value, alerts, thresholds, runbook_url, alertmanager):
    if isinstance(value, list):
        found = []
        for entry in value:
            made = _walked(entry, alerts, thresholds, runbook_url, alertmanager)
            if made is not None:
                found.append(made)
            elif isinstance(entry, dict) and AT in entry and value[0]["color"] == "red":
                # The less, the worse: without this number, what is below it is as good as what is above it.
                found[-1] = {**found[-1], "color": entry["color"]}
        return found
    if not isinstance(value, dict):
        return value
    if AT in value:
        return _step(value, alerts, thresholds)
    if RUNBOOK in value:
        if runbook_url == "":
            return None
        kept = {key: entry for key, entry in value.items() if key != RUNBOOK}
        return {**kept, "url": runbook(runbook_url, "${__value.raw}")} if runbook_url else kept
    if ALERTMANAGER in value:
        return _to_alertmanager(value, alertmanager)
    # A value that is null stays: only entries of lists go.
    return {
        key: entry if entry is None else _walked(entry, alerts, thresholds, runbook_url, alertmanager)
        for key, entry in value.items()
    }


def _to_alertmanager(link, alertmanager):
    """A link to Grafana's pages of alerts and silences; None where no data source shows them."""
    if alertmanager == "":
        return None
    kept = {key: entry for key, entry in link.items() if key != ALERTMANAGER}
    return {**kept, "url": _NAMED.sub(quote(alertmanager, safe=""), kept["url"])} if alertmanager else kept


def _step(step, alerts, thresholds):
    """A step at the number of its alert; None where the alert or its severity is disabled."""
    origin, kept = step[AT], {key: entry for key, entry in step.items() if key != AT}
    found = resolve(alerts[origin["alert"]], thresholds.get(origin["alert"], {}), "")[0]
    tier = found.get(origin["severity"])
    if tier is None:
        return None
    kept["value"] = tier.values[origin["parameter"]] * origin["factor"] + origin["offset"]
    return kept
