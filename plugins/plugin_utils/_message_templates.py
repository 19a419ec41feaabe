# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that Alertmanager notices only when it sends: undefined templates, and variables that it does not expand.

Its own validator accepts both, and the notification arrives empty, or not at all.
"""

from __future__ import annotations

import re

import yaml
from ansible_collections.vigil.monitoring.plugins.module_utils._version import version_key
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import FileProblem
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import nearest

_COMMENT = re.compile(r"\{\{-?\s*/\*.*?\*/\s*-?\}\}", re.DOTALL)
_NAME = r'\s*("(?:[^"\\]|\\.)*"|`[^`]*`)'
_DEFINED = re.compile(r"\{\{-?\s*(?:define|block)" + _NAME)
_USED = re.compile(r"\{\{-?\s*(?:template|block)" + _NAME)

# Names that Alertmanager's own default.tmpl and email.tmpl define, in the releases of this range.
BUILT_IN_OF = ("0.25.0", "0.35.0")
BUILT_IN = frozenset(
    "__alertmanager __alertmanagerURL __description __subject __text_alert_list __text_alert_list_markdown".split()
    + [
        "{0}.default.{1}".format(integration, name)
        for integration, names in {
            "discord": "content message title",
            "email": "html subject",
            "jira": "description priority summary",
            "mattermost": "color fallback text title titlelink username",
            "msteams": "summary text title",
            "msteamsv2": "text title",
            "opsgenie": "description message source",
            "pagerduty": "client clientURL description instances",
            "pushover": "message title url",
            "rocketchat": "alias emoji iconurl text title titlelink",
            "slack": "callbackid color fallback footer iconemoji iconurl pretext text title titlelink username",
            "sns": "message subject",
            "telegram": "message",
            "victorops": "entity_display_name monitoring_tool state_message",
            "webex": "message",
            "wechat": "agent_id message to_party to_tag to_user",
        }.items()
        for name in names.split()
    ]
)
# Further names that other releases may define.
_LIKE_BUILT_IN = re.compile(r"__\w+|\w+\.default\.\w+")


def _names(pattern, text):
    return [found[1:-1] for found in pattern.findall(_COMMENT.sub("", text))]


def strings(data, path=""):
    """All strings of a structure, each with the path of its key."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from strings(value, "{0}.{1}".format(path, key) if path else str(key))
    elif isinstance(data, (list, tuple)):
        for index, value in enumerate(data):
            yield from strings(value, "{0}[{1}]".format(path, index))
    elif isinstance(data, str):
        yield path, data


def texts_of_receivers(config):
    """The texts of receivers, each with a description of its place.

    :param config: the text of ``alertmanager.yml``.
    """
    try:
        data = yaml.safe_load(config)
    except yaml.YAMLError:
        return  # amtool has the better error message for it
    for receiver in (data.get("receivers") if isinstance(data, dict) else None) or []:
        if isinstance(receiver, dict):
            for path, text in strings({key: value for key, value in receiver.items() if key != "name"}):
                yield "the receiver {0!r}, {1}".format(str(receiver.get("name")), path), text


def check_messages(config, files, version):
    """Refuse errors that would be noticed only when a notification is sent.

    :param config: the text of ``alertmanager.yml``.
    :param files: the files with templates, dicts with ``source`` and ``content``.
    :param version: of the Alertmanager that sends.
    :raises FileProblem: naming receiver or file, and the key.
    """
    defined = set(BUILT_IN)
    for entry in files:
        defined.update(_names(_DEFINED, entry["content"]))
    places = [("the file {0}".format(entry["source"]), entry["content"]) for entry in files]
    found = []
    for where, text in [*texts_of_receivers(config), *places]:
        for name in _names(_USED, text):
            if name not in defined | set(_names(_DEFINED, text)) and not _may_be_built_in(name, version):
                near = nearest(name, defined)
                found.append(
                    "{0}: uses the template {1!r}, which is not defined; {2}".format(
                        where,
                        name,
                        "did you mean {0!r}?".format(near)
                        if near
                        else "define it in a file of alertmanager_template_files",
                    )
                )
    for where, text in texts_of_receivers(config):
        if "${" in text:
            found.append(
                "{0}: contains '${{', but Alertmanager does not expand variables; write the value, for example from a vault, or"
                " use the option for a file".format(where)
            )
    if found:
        raise FileProblem("\n".join(dict.fromkeys(found)))


def _may_be_built_in(name, version):
    """Whether this release may define a name that the known releases do not."""
    first, last = BUILT_IN_OF
    key = version_key(version) if version else None
    known = key is not None and version_key(first) <= key <= version_key(last)
    return not known and bool(_LIKE_BUILT_IN.fullmatch(name))
