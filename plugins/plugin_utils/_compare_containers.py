# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the images and containers of an engine with the inventory."""

from __future__ import annotations

import calendar
import json
import shlex
import time

from ansible_collections.vigil.monitoring.plugins.module_utils._docker import (
    LABEL_SERVICE,
    health_problems,
    image_problem,
    label,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import script, sections


class Image:
    """An image that the container of a service runs already.

    :param name: name of the container.
    :param reference: name of the image.
    :param host: address of the engine.
    """

    def __init__(self, name, reference, host):
        self.name = name
        self.reference = reference
        self.host = host

    def command(self):
        """What to run on the host."""
        inspect = "docker -H {0} {1} inspect --format '{{{{json .}}}}' {2}"
        return script(
            inspect.format(shlex.quote(self.host), "image", shlex.quote(self.reference)),
            inspect.format(shlex.quote(self.host), "container", shlex.quote(self.name)),
        )

    def known(self, output):
        """What the engine knows about the image, when it is the specified one and runs; else None."""
        try:
            image, container = map(json.loads, sections(output))
        except ValueError:
            return None
        runs = container["Image"] == image["Id"] and label(container, LABEL_SERVICE) == self.name
        return image if runs and not image_problem(self.reference, image) else None


class Containers:
    """The containers of services, for the verification of what they run.

    :param wanted: name of the container -> name of the specified image.
    :param host: address of the engine.
    """

    def __init__(self, wanted, host):
        self.wanted = wanted
        self.host = host

    def command(self):
        """What to run on the host."""
        docker = "docker -H {0}".format(shlex.quote(self.host))
        names = " ".join(map(shlex.quote, self.wanted))
        inspect = "{0} container inspect --format".format(docker)
        return script(
            "date +%s",
            "{0} '{{{{json .}}}}' {1}".format(inspect, names),
            "{0} image inspect --format '{{{{json .}}}}' $({1} '{{{{.Image}}}}' {2})".format(docker, inspect, names),
        )

    def problems(self, output):
        """Name of the container -> what speaks against it; None where the engine did not answer."""
        try:
            now, containers, images = sections(output)
            found = {one["Name"].lstrip("/"): one for one in map(json.loads, containers.splitlines())}
            known = {one["Id"]: one for one in map(json.loads, images.splitlines())}
            ages = {name: int(now) - _epoch(one["State"]["StartedAt"]) for name, one in found.items()}
        except ValueError:
            return None
        if not found:
            return None
        return {
            name: health_problems(found.get(name), known, reference, ages.get(name))
            for name, reference in self.wanted.items()
        }


def _epoch(timestamp):
    """Seconds since the epoch of a time of the engine's, ``2026-11-25T22:13:14.516346015Z``."""
    return calendar.timegm(time.strptime(timestamp[:19], "%Y-%m-%dT%H:%M:%S"))
