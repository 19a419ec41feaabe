# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of the collection, found by the files in ``services/``: the one place that knows which there are."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import nearest
from ansible_collections.vigil.monitoring.plugins.plugin_utils._service import Service

PACKAGE = "ansible_collections.vigil.monitoring.plugins.plugin_utils.services."
FOLDER = Path(__file__).parent / "services"
# Roles that deploy no service, on the hosts of the groups of their names.
FURTHER = ("backup",)


@functools.cache
def names() -> tuple[str, ...]:
    """The names of all services, sorted. Imports none of them: Ansible compiles what a task imports anew each time."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_")))


@functools.cache
def load(name: str) -> Service:
    """The room of one service.

    :raises ValueError: when there is no such service; the message names the nearest one.
    """
    if name not in names():
        found = nearest(name, names())
        more = "; did you mean {0!r}?".format(found) if found else ""
        raise ValueError("there is no service {0!r}{1}; there are {2}".format(name, more, ", ".join(names())))
    return importlib.import_module(PACKAGE + name).Room()


def in_order(chosen: Iterable[str] | None = None) -> list[str]:
    """Names of services in the order of their deployment.

    :param chosen: names of some services, others are left out; None for all.
    """
    found = names() if chosen is None else set(chosen).intersection(names())
    return sorted(found, key=lambda name: (load(name).stage, name))


def deployable(chosen: Iterable[str] | None = None) -> list[str]:
    """The same with the roles that deploy no service, after the services."""
    return [*in_order(chosen), *(name for name in FURTHER if chosen is None or name in chosen)]


def version_metrics() -> dict:
    """The metrics that tell a version otherwise than ``version`` of ``<program>_build_info`` -> their label."""
    found = {load(name).version_metric: load(name).version_label for name in names()}
    return {metric: label for metric, label in found.items() if (metric[-11:], label) != ("_build_info", "version")}


def receives_alerts() -> str:
    """The name of the service to which alerts are sent."""
    return next(name for name in names() if load(name).receives_alerts)


def groups_of(given: dict | None) -> dict:
    """Service -> inventory group whose hosts run it, in the order of deployment.

    :param given: the user's own mapping, complete; None for the groups of the services' names.
    """
    return {name: name if given is None else given[name] for name in in_order(given)}
