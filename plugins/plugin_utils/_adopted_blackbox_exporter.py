# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a blackbox exporter is compared before it is adopted, whoever deployed it."""

from __future__ import annotations

import posixpath

from ansible_collections.vigil.monitoring.plugins.plugin_utils._adoption import load, mapping, normal


def sections(flags, directory, files):
    """Its sections; the parameters are those of :meth:`_service.Service.sections`."""
    path = (flags.get("config.file") or [posixpath.join(directory, "blackbox_exporter.yml")])[0]
    modules = mapping(mapping(load(files.get(path, ""))).get("modules"))
    return {"modules": {str(name): normal(mapping(module)) for name, module in modules.items()}}
