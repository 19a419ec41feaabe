# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the inputs of a service that runs as a container, beyond their types."""

from __future__ import annotations

import re

from ansible_collections.vigil.monitoring.plugins.module_utils._docker import parse_reference
from ansible_collections.vigil.monitoring.plugins.plugin_utils._container import MANAGED
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem, shown


def check_container(room, values):
    """The image, and the options of the container that are the user's own."""
    role = room.name
    name = role + "_image"
    try:
        reference = parse_reference(values[name])
    except ValueError as error:
        yield Problem(name, str(error), "write it like quay.io/prometheus/prometheus:v3.5.0")
    else:
        if not reference.digest and reference.tag in (None, "latest"):
            found = "is {0}, which means another image every day".format(shown(values[name]))
            yield Problem(name, found, "name a tag or a digest, so that every run deploys the same")
    for option in values[role + "_container_extra"] or {}:
        if option in MANAGED:
            where = "{0}_container_extra[{1!r}]".format(role, str(option))
            yield Problem(where, "is set already", "the role decides it; leave it out")
    if bool(values[role + "_registry_username"]) != bool(values[role + "_registry_password"]):
        both = "{0}_registry_username and {0}_registry_password".format(role)
        yield Problem(both, "only one of them is set", "set both, or none")
    cpus = str(values[role + "_container_cpus"] or "1")
    if not re.fullmatch(r"\d+(\.\d+)?", cpus):
        yield Problem(role + "_container_cpus", "is {0}".format(shown(cpus)), "give a number such as 1.5")
