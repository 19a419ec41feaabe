# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of channels of alertmanager_escalation: their required keys and their messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._version import version_key
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem, shown, unknown_key
from ansible_collections.vigil.monitoring.plugins.plugin_utils._upstream import keys, version_of

# Required by every routing tree: named time intervals, and references to them in routes.
OLDEST = "0.24.0"

# Input, without the role's prefix -> key of the section global.
GLOBAL_KEYS = {
    "slack_api_url": "slack_api_url",
    "pagerduty_url": "pagerduty_url",
    "opsgenie_api_key": "opsgenie_api_key",
    "opsgenie_api_url": "opsgenie_api_url",
    "victorops_api_key": "victorops_api_key",
    "victorops_api_url": "victorops_api_url",
    "wechat_url": "wechat_api_url",
    "wechat_secret": "wechat_api_secret",
    "wechat_corp_id": "wechat_api_corp_id",
    "slack_api_url_file": "slack_api_url_file",
    "slack_app_token": "slack_app_token",
    "slack_app_token_file": "slack_app_token_file",
    "slack_app_url": "slack_app_url",
    "opsgenie_api_key_file": "opsgenie_api_key_file",
    "victorops_api_key_file": "victorops_api_key_file",
    "wechat_secret_file": "wechat_api_secret_file",
    "jira_api_url": "jira_api_url",
    "telegram_api_url": "telegram_api_url",
    "telegram_bot_token": "telegram_bot_token",
    "telegram_bot_token_file": "telegram_bot_token_file",
    "webex_api_url": "webex_api_url",
    "rocketchat_api_url": "rocketchat_api_url",
    "rocketchat_token": "rocketchat_token",
    "rocketchat_token_file": "rocketchat_token_file",
    "rocketchat_token_id": "rocketchat_token_id",
    "rocketchat_token_id_file": "rocketchat_token_id_file",
    "mattermost_webhook_url": "mattermost_webhook_url",
    "mattermost_webhook_url_file": "mattermost_webhook_url_file",
}


class Kind(NamedTuple):
    """A kind of channel. Further keys that it may have are defined by upstream's types.

    :ivar section: key of the receiver.
    :ivar secrets: secret -> the first version whose key ``<secret>_file`` works.
    :ivar one_of: keys of which one must be set, secrets exactly one; empty: all are optional.
    :ivar needed: further required keys.
    :ivar message: default keys for the format of a message.
    :ivar common: key -> the key of the section ``global`` that replaces it.
    :ivar login: whether ``http_config.authorization`` must be set, or may be instead of a secret.
    """

    section: str
    secrets: dict
    one_of: tuple
    needed: tuple
    message: dict
    common: Mapping = MappingProxyType({})
    login: bool = False


SLACK_API = "https://slack.com/api/chat.postMessage"
_TITLE = '{{ template "vigil.title" . }}'
_SLACK_TITLE = '{{ template "vigil.slack.title" . }}'
_TEXT = '{{ template "vigil.text" . }}'
_ALERTS = '{{ template "vigil.alerts" . }}'
KINDS = {
    "slack": Kind(
        "slack_configs",
        {"api_url": OLDEST, "app_token": "0.30.0"},
        ("api_url", "app_token"),
        (),
        {
            "title": _SLACK_TITLE,
            "title_link": _ALERTS,
            "text": '{{ template "vigil.slack.text" . }}',
            "fallback": _SLACK_TITLE,
            "color": '{{ template "vigil.color" . }}',
        },
        {"api_url": "slack_api_url", "app_token": "slack_app_token"},
    ),
    "email": Kind(
        "email_configs",
        {"auth_password": "0.25.0", "auth_secret": "0.31.0"},
        (),
        ("to",),
        {"headers": {"Subject": _TITLE}, "html": '{{ template "vigil.email.html" . }}', "text": _TEXT},
    ),
    "pagerduty": Kind(
        "pagerduty_configs",
        {"routing_key": "0.25.0", "service_key": "0.25.0"},
        ("routing_key", "service_key"),
        (),
        {
            "description": _TITLE,
            "client": "Alertmanager",
            "client_url": _ALERTS,
            "severity": '{{ template "vigil.pagerduty.severity" . }}',
            "component": "{{ .CommonLabels.service }}",
            "group": "{{ .CommonLabels.cluster }}",
            "details": {
                "alerts": _TEXT,
                "num_firing": "{{ .Alerts.Firing | len }}",
                "num_resolved": "{{ .Alerts.Resolved | len }}",
            },
            # Alertmanager omits links without a URL.
            "links": [
                # Each alert has its own link, with its job and instance: that of the first is used.
                {"href": "{{ (index .Alerts 0).Annotations.dashboard_url }}", "text": "Dashboard"},
                {"href": "{{ .CommonAnnotations.runbook_url }}", "text": "Runbook"},
                {"href": '{{ template "vigil.silence" . }}', "text": "Silence"},
            ],
        },
    ),
    "webhook": Kind("webhook_configs", {"url": "0.28.0"}, ("url",), (), {}),
    "msteams": Kind(
        "msteamsv2_configs",
        {"webhook_url": "0.28.0"},
        ("webhook_url",),
        (),
        {"title": _TITLE, "text": _TEXT},
    ),
    # Connectors of Office 365, which Microsoft has retired; workflows replace them.
    "msteams_connector": Kind(
        "msteams_configs",
        {"webhook_url": "0.28.0"},
        ("webhook_url",),
        (),
        {"title": _TITLE, "text": _TEXT},
    ),
    "discord": Kind(
        "discord_configs",
        {"webhook_url": "0.28.0"},
        ("webhook_url",),
        (),
        {"title": _TITLE, "message": _TEXT},
    ),
    "opsgenie": Kind(
        "opsgenie_configs",
        {"api_key": OLDEST},
        ("api_key",),
        (),
        {
            "message": _TITLE,
            "description": _TEXT,
            "source": _ALERTS,
            "priority": '{{ template "vigil.opsgenie.priority" . }}',
        },
        {"api_key": "opsgenie_api_key"},
    ),
    "telegram": Kind(
        "telegram_configs",
        {"bot_token": "0.26.0"},
        ("bot_token",),
        ("chat_id",),
        # HTML could be truncated inside a tag if a message is too long, and then be rejected.
        {"message": _TITLE + "\n" + _TEXT, "parse_mode": ""},
        {"bot_token": "telegram_bot_token"},
    ),
    "mattermost": Kind(
        "mattermost_configs",
        # Earlier versions have attachments only.
        {"webhook_url": "0.32.0"},
        ("webhook_url",),
        (),
        {
            "title": _TITLE,
            "title_link": _ALERTS,
            "text": _TEXT,
            "fallback": _TITLE,
            "color": '{{ template "vigil.color" . }}',
        },
        {"webhook_url": "mattermost_webhook_url"},
    ),
    "rocketchat": Kind(
        "rocketchat_configs",
        {"token": "0.28.0", "token_id": "0.28.0"},
        (),
        ("token", "token_id"),
        {"title": _TITLE, "title_link": _ALERTS, "text": _TEXT},
        {"token": "rocketchat_token", "token_id": "rocketchat_token_id"},
    ),
    "jira": Kind(
        "jira_configs",
        {},
        (),
        ("api_url", "project", "issue_type"),
        {"summary": _TITLE, "description": _TEXT},
        {"api_url": "jira_api_url"},
    ),
    "incidentio": Kind(
        "incidentio_configs",
        {"alert_source_token": "0.29.0"},
        ("alert_source_token",),
        ("url",),
        {},
        login=True,
    ),
    "webex": Kind("webex_configs", {}, (), ("room_id",), {"message": _TITLE + "\n" + _TEXT}, login=True),
    "pushover": Kind(
        "pushover_configs",
        {"token": "0.26.0", "user_key": "0.26.0"},
        (),
        ("token", "user_key"),
        {"title": _TITLE, "message": _TEXT, "url": _ALERTS},
    ),
    "victorops": Kind(
        "victorops_configs",
        {"api_key": "0.25.0"},
        ("api_key",),
        ("routing_key",),
        {"entity_display_name": _TITLE, "state_message": _TEXT},
        {"api_key": "victorops_api_key"},
    ),
    "wechat": Kind(
        "wechat_configs",
        {"api_secret": "0.31.0"},
        ("api_secret",),
        ("corp_id",),
        {"message": _TITLE + "\n" + _TEXT},
        {"api_secret": "wechat_api_secret", "corp_id": "wechat_api_corp_id"},
    ),
    # Its only secret is that of AWS, which cannot be read from a file: a role or a profile of the host needs none.
    "sns": Kind("sns_configs", {}, ("topic_arn", "target_arn", "phone_number"), (), {"message": _TITLE + "\n" + _TEXT}),
}
# The keys of the section global that replace one of a channel.
COMMON = sorted({key for kind in KINDS.values() for key in kind.common.values()})
_URLS = ("api_url", "url", "webhook_url")
# Values below http_config that are secrets; each also has a key with the suffix _file.
_HTTP_SECRETS = ("password", "credentials", "bearer_token", "client_secret", "client_certificate_key", "key")
# Receivers that do not belong to a channel.
ALL, NOBODY = "all", "nobody"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def kind_of(value):
    """The type of a value, for a message that must not show it."""
    if value is None:
        return "is empty"
    names = {dict: "dictionary", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return "is a {0}".format(names.get(type(value), type(value).__name__))


def too_old(version, since):
    """Whether a version is known and older than another."""
    return version and version_key(version) < version_key(since)


def secret_path(name, *keys):
    """The file of a secret, inside the configuration directory."""
    return "secrets/" + ".".join((name,) + keys)


def check_channel(where, name, channel, settings):  # noqa: C901
    """Problems of a channel.

    :param where: its path in the declaration.
    :param settings: dict with ``smtp`` and ``version``.
    """
    if not _NAME.fullmatch(name) or name in (ALL, NOBODY):
        yield Problem(
            where, "is not a valid channel name", "use lower case letters, digits, - and _, but not all or nobody"
        )
    if not isinstance(channel, dict):
        yield Problem(where, kind_of(channel), "write a dictionary with kind and the keys of that kind")
        return
    if not isinstance(channel.get("kind"), str) or channel["kind"] not in KINDS:
        found = "is missing" if "kind" not in channel else "is {0}".format(shown(channel["kind"]))
        yield Problem(where + ".kind", found, "one of {0}".format(", ".join(sorted(KINDS))))
        return
    kind = KINDS[channel["kind"]]
    known = ["kind", *keys("alertmanager", "receivers", kind.section)]
    for key in channel:
        if key in known:
            continue
        bare = str(key)[: -len("_file")]
        if str(key).endswith("_file") and bare in known:
            yield Problem(
                "{0}.{1}".format(where, key), "Alertmanager cannot read this from a file", "set {0}".format(bare)
            )
        elif not too_old(version_of("alertmanager"), settings["version"] or "0"):
            # A newer version may have more keys; Alertmanager itself reports unknown ones.
            yield unknown_key(where, key, known)
    given = {key for key in known if channel.get(key) not in (None, "", [])}
    given.update(key for key in known if key + "_file" in given)
    common = {key for key, name in kind.common.items() if {name, name + "_file"} & globally(settings)}
    for key in kind.needed:
        if key not in given | common:
            remedy = "a channel of kind {kind} needs it".format(**channel)
            if key in kind.common:
                remedy += ", or {0}".format(variable_of(kind.common[key]))
            yield Problem("{0}.{1}".format(where, key), "is missing", remedy)
    logs_in = kind.login and "authorization" in (channel.get("http_config") or {})
    if kind.login and not kind.one_of and not logs_in:
        found = "a channel of kind {kind} needs it".format(**channel)
        yield Problem(where + ".http_config.authorization", "is missing", found)
    if not isinstance(channel.get("send_resolved", True), bool):
        yield Problem(where + ".send_resolved", kind_of(channel["send_resolved"]), "write true or false")
    yield from _check_secrets(where, channel, kind, settings["version"])
    yield from _check_choice(where, kind, given, common, logs_in)
    yield from _check_http(where + ".http_config", channel.get("http_config"))
    if channel["kind"] == "email":
        for key in ("from", "smarthost"):
            if not channel.get(key) and not (settings["smtp"] or {}).get(key):
                yield Problem("{0}.{1}".format(where, key), "is missing", "set it here or in alertmanager_smtp." + key)
    by_app = {"app_token", "app_token_file"} & set(channel) or channel.get("api_url") == SLACK_API
    if channel["kind"] == "slack" and channel.get("channel") and not by_app:
        found = "has no effect: a Slack webhook posts to the channel that it was created for"
        yield Problem(where + ".channel", found, "create a webhook for that channel, or set app_token")


def _check_secrets(where, channel, kind, version):
    given = [key for key in kind.secrets if channel.get(key) or channel.get(key + "_file")]
    for key in kind.secrets:
        for name in (key, key + "_file"):
            if name in channel and channel[name] and not isinstance(channel[name], str):
                yield Problem("{0}.{1}".format(where, name), kind_of(channel[name]), "write a string, in quotes")
        if channel.get(key) and channel.get(key + "_file"):
            yield Problem("{0}.{1}".format(where, key), "is also set as {0}_file".format(key), "keep one of them")
        value = channel.get(key)
        if key in _URLS and isinstance(value, str) and value and not re.match(r"https?://\S+$", value.strip()):
            yield Problem("{0}.{1}".format(where, key), "is not a URL", "start it with https://")
        if key in given and too_old(version, kind.secrets[key]):
            yield Problem(
                "{0}.{1}".format(where, key + "_file" if channel.get(key + "_file") else key),
                "needs the key {0}_file, which works from Alertmanager {1} on, but the version is {2}".format(
                    key, kind.secrets[key], version
                ),
                "deploy {0} or newer, because secrets are not written into the main configuration file".format(
                    kind.secrets[key]
                ),
            )


def _check_choice(where, kind, given, common, logs_in):
    """Of some keys one must be set, here or for all channels; of secrets exactly one."""
    chosen = [key for key in kind.one_of if key in given]
    if kind.one_of and not chosen and not common.intersection(kind.one_of) and not logs_in:
        either = " or ".join(kind.one_of)
        remedy = "set {0}".format(either)
        if kind.one_of[0] in kind.secrets:
            remedy += ", or {0}_file with the path of a file on the host".format(kind.one_of[0])
        yield Problem("{0}.{1}".format(where, kind.one_of[0]), "is missing", remedy)
    elif len([key for key in chosen if key in kind.secrets]) > 1:
        yield Problem(where, "has {0}".format(" and ".join(chosen)), "keep one of them")


def globally(settings):
    """The keys of the section ``global`` that are set.

    :param settings: the role's inputs without their prefix; missing ones are not set.
    """
    found = {key for name, key in GLOBAL_KEYS.items() if settings.get(name)}
    return found.union(settings.get("global") or {})


def variable_of(key):
    """The variable for a key of the section ``global``."""
    return next("alertmanager_" + name for name, other in GLOBAL_KEYS.items() if other == key)


def _check_http(where, config):
    if config is not None and not isinstance(config, dict):
        yield Problem(where, kind_of(config), "write it as Alertmanager's http_config")
    for key, value in config.items() if isinstance(config, dict) else ():
        if isinstance(value, dict):
            yield from _check_http("{0}.{1}".format(where, key), value)
        elif key == "secrets":
            yield Problem(
                "{0}.{1}".format(where, key), "would be written into the main configuration file", "use files instead"
            )


def hide(data, path, secrets, files):
    """A channel's options with each secret moved to a file: its key gets the suffix ``_file``.

    :param path: name of the channel, followed by the parent options.
    :param secrets: keys whose values are secret.
    :param files: path inside the configuration directory -> content; each secret is added.
    """
    shaped = {}
    for key, value in data.items():
        if isinstance(value, dict) and (key in ("http_config", "tls_config") or len(path) > 1):
            shaped[key] = hide(value, (*path, key), _HTTP_SECRETS, files)
        elif key in secrets and value:
            name = secret_path(*path, key)
            files[name] = str(value).strip()
            shaped[key + "_file"] = name
        elif value is not None:
            shaped[key] = value
    return shaped
