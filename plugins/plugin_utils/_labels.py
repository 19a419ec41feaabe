# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of labels, as each version of Prometheus takes them."""

from __future__ import annotations

import re

from ansible_collections.vigil.monitoring.plugins.module_utils._version import version_key

# Any text is a name from here on.
UTF8_SINCE = "3.0.0"
_CLASSIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def is_label(name, version=None):
    """Whether a text is the name of a label.

    :param version: of Prometheus; None where it is not known: a newer one is assumed, and it says itself what it refuses.
    """
    name = str(name)
    if _CLASSIC.fullmatch(name):
        return True
    if version and version_key(version) < version_key(UTF8_SINCE):
        return False
    try:
        return bool(name) and bool(name.encode("utf-8"))
    except UnicodeEncodeError:
        return False


def way_out(name):
    """What to do about a name that is none."""
    if not name:
        return "write one"
    return "write letters, digits and underscores, or deploy Prometheus {0} or newer".format(UTF8_SINCE)
