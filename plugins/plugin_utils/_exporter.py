# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an exporter needs on disk."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import web_config


def exporter_files(settings):
    """The files of an exporter, whose only configuration is that of its web interface.

    :param settings: dict with ``config_dir`` and ``web_config``.
    """
    web = web_config(settings["web_config"], settings["config_dir"])
    return [{"path": "web_config.yml", "data": web}] if web else []


def textfile_directories(settings):
    """The directory of node_exporter's text files, in which the group may write and everybody may read; if any.

    :param settings: dict with ``textfile_dir``, ``user`` and ``group``.
    """
    if not settings["textfile_dir"]:
        return []
    return [{"path": settings["textfile_dir"], "owner": settings["user"], "group": settings["group"], "mode": "0775"}]
