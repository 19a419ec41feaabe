# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of a Prometheus with the targets that its configuration names, as :mod:`_history` compares them."""

from __future__ import annotations

import fnmatch
import hashlib
import json

import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils._client import without_secrets

RELABELLING = ("relabel_configs", "metric_relabel_configs", "honor_labels")


def jobs_of(jobs, entries):
    """The jobs, each with its targets and a digest of what changes their labels.

    :param jobs: scrape configurations.
    :param entries: files of the configuration, each with ``path`` and ``data`` or ``content``.
    """
    files = {entry["path"]: entry for entry in entries if entry["path"].startswith("file_sd/")}
    found = {}
    for job in jobs:
        groups = list(job.get("static_configs") or ())
        for discovery in job.get("file_sd_configs") or ():
            for pattern in discovery.get("files") or ():
                for path in fnmatch.filter(files, str(pattern)):
                    groups += _groups(files[path])
        text = json.dumps([job.get(name) for name in RELABELLING], sort_keys=True, default=str)
        found[str(job.get("job_name"))] = {
            "targets": _targets(groups),
            "relabelling": hashlib.sha256(text.encode("utf-8")).hexdigest()[:16],
        }
    return found


def _groups(entry):
    data = entry.get("data")
    if data is None:
        try:
            data = yaml.safe_load(entry.get("content") or "")
        except yaml.YAMLError:
            # promtool has the better words for it.
            data = None
    return [group for group in data or () if isinstance(group, dict)]


def _targets(groups):
    return {
        without_secrets(str(address)): {str(name): str(value) for name, value in (group.get("labels") or {}).items()}
        for group in groups
        for address in group.get("targets") or ()
    }
