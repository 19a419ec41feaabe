# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``health`` of a service of the collection, as its room and its role make it."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.module_utils._health import complete
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms


def checked(name: str) -> dict:
    """What sets a service apart; nothing for one that the collection does not know."""
    return _rooms.load(name).health_check() if name in _rooms.names() else {}


def health_of(name: str, url: str = "http://a:9090", **options) -> dict:
    """What a module is given, without the suboptions that have their defaults."""
    return {**_rooms.load(name).health_check(), "url": url, **options}


def complete_health(name: str, url: str = "http://a:9090", **options) -> dict:
    """What a module makes of it."""
    return complete(health_of(name, url, **options), name)
