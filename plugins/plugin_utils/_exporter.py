# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an exporter needs on disk."""

from __future__ import annotations

from ansible_collections.vigil.monitoring.plugins.plugin_utils._data_source import source_files
from ansible_collections.vigil.monitoring.plugins.plugin_utils._references import anchor
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import web_config


def exporter_files(settings):
    """The file that all exporters share: the configuration of the web interface, where there is one.

    :param settings: dict with ``config_dir`` and ``web_config``.
    """
    web = web_config(settings["web_config"], settings["config_dir"])
    return [{"path": "web_config.yml", "data": web}] if web else []


def blackbox_exporter_files(settings):
    """The files of blackbox_exporter.

    :param settings: dict with ``config_dir``, ``modules`` and ``web_config``.
    """
    config = {"modules": anchor(settings["modules"] or {}, settings["config_dir"])}
    return [{"path": "blackbox_exporter.yml", "data": config}, *exporter_files(settings)]


def blackbox_exporter_profile(modules):
    """The hardening profile that these modules leave room for: only ICMP packets need a right of their own."""
    probers = {module.get("prober") for module in (modules or {}).values() if isinstance(module, dict)}
    return "blackbox_exporter_icmp" if "icmp" in probers else "blackbox_exporter"


def postgres_exporter_files(settings):
    """The files of postgres_exporter.

    :param settings: dict with ``config_dir``, ``config_file``, ``auth_modules``, ``web_config`` and what
        :func:`_data_source.source_files` takes.
    """
    # Without a file, the exporter says for ever that its last reload failed.
    config = {"path": settings["config_file"], "data": {"auth_modules": settings["auth_modules"] or {}}}
    return [config, *source_files(settings), *exporter_files(settings)]


def textfile_directories(settings):
    """The directory of node_exporter's text files, in which the group may write and everybody may read; if any.

    :param settings: dict with ``textfile_dir``, ``user`` and ``group``.
    """
    if not settings["textfile_dir"]:
        return []
    return [{"path": settings["textfile_dir"], "owner": settings["user"], "group": settings["group"], "mode": "0775"}]
