# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line flags, as the programs of Prometheus' family take them."""

from __future__ import annotations


def flag(name, value=None):
    """One flag as arguments.

    None, an empty string and True give the bare flag, False its negation, a list one flag an element.

    :param name: name without dashes.
    :returns: list of arguments.
    """
    if isinstance(value, (list, tuple)):
        return [argument for item in value for argument in flag(name, item)]
    if value is None or value is True or value == "":
        return ["--" + name]
    if value is False:
        return ["--no-" + name]
    return ["--{0}={1}".format(name, value)]


def extra_flags(extra):
    """The flags of ``<role>_config_flags_extra``, in its order."""
    return [argument for name, value in (extra or {}).items() for argument in flag(name, value)]


def collector_flags(i):
    """The flags of an exporter's collectors, from its inputs ``enabled_collectors`` and ``disabled_collectors``."""
    arguments = []
    for collector in i["enabled_collectors"] or []:
        options_of = collector if isinstance(collector, dict) else {collector: {}}
        for name, options in options_of.items():
            arguments += flag("collector." + str(name))
            for option, value in sorted((options or {}).items()):
                name_of_option = "collector.{0}.{1}".format(name, option)
                empty = value is None or value == ""
                arguments += ["--{0}=".format(name_of_option)] if empty else flag(name_of_option, value)
    for collector in i["disabled_collectors"] or []:
        arguments += flag("no-collector." + str(collector))
    return arguments
