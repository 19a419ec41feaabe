# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alertmanager's configuration from the role's inputs."""

from __future__ import annotations

import os

from ansible_collections.vigil.monitoring.plugins.plugin_utils._channels import GLOBAL_KEYS
from ansible_collections.vigil.monitoring.plugins.plugin_utils._escalation import escalate
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import Files
from ansible_collections.vigil.monitoring.plugins.plugin_utils._message_templates import check_messages
from ansible_collections.vigil.monitoring.plugins.plugin_utils._references import anchor
from ansible_collections.vigil.monitoring.plugins.plugin_utils._web import web_config

# Sections of the file that are copied unchanged.
SECTIONS = ("tracing", "event_recorder")
_YES = ("true", "yes", "on", "1")
_NO = ("false", "no", "off", "0")


def _smtp_value(key, value):
    """``require_tls`` is a boolean, which inventories written for templates give as a string."""
    if key == "require_tls" and isinstance(value, str):
        if value.lower() in _YES + _NO:
            return value.lower() in _YES
    return value


def _other_templates(settings):
    """The user's own templates whose names do not match the pattern, and are therefore listed separately."""
    names = sorted(os.path.basename(entry["source"]) for entry in settings.get("template_files") or [])
    return ["templates/" + name for name in names if not name.endswith(".tmpl")]


def alertmanager_config(settings):
    """``alertmanager.yml`` as a structure.

    Relative paths of files are made absolute: Alertmanager resolves some of them against its working directory.

    :param settings: dict with the role's inputs without their prefix: ``config_dir``, ``resolve_timeout``, ``smtp``,
        ``http_config``, ``global``, the keys of :data:`GLOBAL_KEYS` and :data:`SECTIONS`, and what :func:`escalate` takes.
    """
    made = escalate(settings)
    common = {"resolve_timeout": settings["resolve_timeout"]}
    for key, value in (made["smtp"] or {}).items():
        common["smtp_" + key] = _smtp_value(key, value)
    if settings["http_config"]:
        common["http_config"] = settings["http_config"]
    for name, key in GLOBAL_KEYS.items():
        if settings.get(name):
            common[key] = settings[name]
    templates = ["templates/*.tmpl", *_other_templates(settings)]
    common.update(settings["global"] or {})
    config = {"global": common, "templates": templates, "route": made["route"]}
    config["receivers"] = made["receivers"]
    for name in ("inhibit_rules", "time_intervals"):
        if made[name]:
            config[name] = made[name]
    config.update((name, settings[name]) for name in SECTIONS if settings[name])
    return anchor(config, settings["config_dir"])


def alertmanager_files(settings, config):
    """The files of Alertmanager's configuration directory.

    :param settings: dict with ``config_dir``, ``version``, ``template_files`` and ``own_templates`` as the lookup user_files
        finds them, ``web_config``, what :func:`escalate` takes, and ``mask_diff``, which hides the files' contents from diffs
        as a whole.
    :param config: text of ``alertmanager.yml``.
    """
    own = settings["own_templates"] if settings["escalation"] else []
    files = Files()
    files.add("alertmanager.yml", "alertmanager_config_file", content=config.rstrip() + "\n")
    files.add_user_files("templates", own, "alertmanager_escalation")
    files.add_user_files("templates", settings["template_files"], "alertmanager_template_files")
    check_messages(config, [*(own or []), *(settings["template_files"] or [])], settings.get("version"))
    for path, secret in escalate(settings)["files"].items():
        files.add(path, "alertmanager_escalation", content=secret, secret=True)
    web = web_config(settings["web_config"], settings["config_dir"])
    if web:
        files.add("web_config.yml", "alertmanager_web_config", data=web)
    if settings["mask_diff"]:
        return [dict(entry, secret=True) for entry in files.entries()]
    return files.entries()


def escalation_secrets(settings):
    """The secrets that :func:`alertmanager_files` writes to files of their own."""
    return sorted(escalate(settings)["files"].values())
