# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of channels that alertmanager_escalation knows: what each needs, and what its messages look like."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.vigil.monitoring.plugins.module_utils._probe import version_key
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Problem, shown, unknown_key

# What every tree needs: named intervals, and the routes' references to them.
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
    """A kind of channel.

    :ivar section: key of the receiver.
    :ivar secrets: secret -> the first version whose key ``<secret>_file`` works.
    :ivar one_of: the secrets of which exactly one has to be given; none: all are optional.
    :ivar needed: further keys that have to be given.
    :ivar options: further keys that may be given, as Alertmanager names them.
    :ivar message: what a message looks like, unless the channel says otherwise.
    """

    section: str
    secrets: dict
    one_of: tuple
    needed: tuple
    options: str
    message: dict


_TITLE = '{{ template "vigil.title" . }}'
_TEXT = '{{ template "vigil.text" . }}'
_ALERTS = '{{ template "vigil.alerts" . }}'
KINDS = {
    "slack": Kind(
        "slack_configs",
        {"api_url": OLDEST, "app_token": "0.30.0"},
        ("api_url", "app_token"),
        (),
        "channel app_url username icon_emoji icon_url pretext footer fields actions mrkdwn_in link_names timeout"
        " title title_link text fallback color",
        {
            "title": _TITLE,
            "title_link": _ALERTS,
            "text": '{{ template "vigil.slack.text" . }}',
            "fallback": _TITLE,
            "color": '{{ template "vigil.color" . }}',
        },
    ),
    "email": Kind(
        "email_configs",
        {"auth_password": "0.25.0", "auth_secret": "0.31.0"},
        (),
        ("to",),
        "from smarthost hello auth_username auth_identity require_tls tls_config headers html text",
        {"headers": {"Subject": _TITLE}, "html": '{{ template "vigil.email.html" . }}', "text": _TEXT},
    ),
    "pagerduty": Kind(
        "pagerduty_configs",
        {"routing_key": "0.25.0", "service_key": "0.25.0"},
        ("routing_key", "service_key"),
        (),
        "url client client_url description details images links source severity class component group timeout",
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
            # Links without an address are left out by Alertmanager.
            "links": [
                # Each alert's link is its own, as it chooses job and instance: that of the first serves.
                {"href": "{{ (index .Alerts 0).Annotations.dashboard_url }}", "text": "Dashboard"},
                {"href": "{{ .CommonAnnotations.runbook_url }}", "text": "Runbook"},
                {"href": '{{ template "vigil.silence" . }}', "text": "Silence"},
            ],
        },
    ),
    "webhook": Kind("webhook_configs", {"url": "0.28.0"}, ("url",), (), "max_alerts timeout payload", {}),
    "msteams": Kind(
        "msteamsv2_configs",
        {"webhook_url": "0.28.0"},
        ("webhook_url",),
        (),
        "title text",
        {"title": _TITLE, "text": _TEXT},
    ),
    "discord": Kind(
        "discord_configs",
        {"webhook_url": "0.28.0"},
        ("webhook_url",),
        (),
        "content title message username avatar_url",
        {"title": _TITLE, "message": _TEXT},
    ),
    "opsgenie": Kind(
        "opsgenie_configs",
        {"api_key": OLDEST},
        ("api_key",),
        (),
        "api_url message description source details entity responders actions tags note priority update_alerts",
        {
            "message": _TITLE,
            "description": _TEXT,
            "source": _ALERTS,
            "priority": '{{ template "vigil.opsgenie.priority" . }}',
        },
    ),
    "telegram": Kind(
        "telegram_configs",
        {"bot_token": "0.26.0"},
        ("bot_token",),
        ("chat_id",),
        "api_url message_thread_id message disable_notifications parse_mode",
        # HTML would be cut anywhere when a message is too long, and then be refused.
        {"message": _TITLE + "\n" + _TEXT, "parse_mode": ""},
    ),
}
_URLS = ("api_url", "url", "webhook_url")
# Values below http_config that are secrets; each has a key with the suffix _file beside it.
_HTTP_SECRETS = ("password", "credentials", "bearer_token", "client_secret", "key")
# Receivers that are no channel's.
ALL, NOBODY = "all", "nobody"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def kind_of(value):
    """What a value is, for a message that must not show it."""
    if value is None:
        return "is empty"
    names = {dict: "dictionary", list: "list", str: "string", bool: "truth value", int: "number", float: "number"}
    return "is a {0}".format(names.get(type(value), type(value).__name__))


def too_old(version, since):
    """Whether a version is known and older than another."""
    return version and version_key(version) < version_key(since)


def secret_path(name, *keys):
    """The file of a secret, inside the configuration directory."""
    return "secrets/" + ".".join((name,) + keys)


def check_channel(where, name, channel, settings):
    """What is wrong with a channel.

    :param where: its path in the declaration.
    :param settings: dict with ``smtp`` and ``version``.
    """
    if not _NAME.fullmatch(name) or name in (ALL, NOBODY):
        yield Problem(
            where, "cannot be the name of a channel", "use small letters, digits, - and _, and not all, nobody"
        )
    if not isinstance(channel, dict):
        yield Problem(where, kind_of(channel), "write a dictionary with kind and what that kind needs")
        return
    if not isinstance(channel.get("kind"), str) or channel["kind"] not in KINDS:
        found = "is missing" if "kind" not in channel else "is {0}".format(shown(channel["kind"]))
        yield Problem(where + ".kind", found, "one of {0}".format(", ".join(sorted(KINDS))))
        return
    kind = KINDS[channel["kind"]]
    plain = ["kind", "send_resolved", "http_config", *kind.needed, *kind.options.split()]
    if channel["kind"] == "email":
        plain.remove("http_config")
    known = plain + [key + suffix for key in kind.secrets for suffix in ("", "_file")]
    for key in channel:
        if key not in known and str(key).endswith("_file") and key[: -len("_file")] in plain:
            value = key[: -len("_file")]
            yield Problem("{0}.{1}".format(where, key), "Alertmanager knows no such file", "give {0}".format(value))
        elif key not in known:
            yield unknown_key(where, key, known)
    for key in kind.needed:
        if channel.get(key) in (None, "", []):
            yield Problem(
                "{0}.{1}".format(where, key), "is missing", "a channel of kind {kind} needs it".format(**channel)
            )
    if not isinstance(channel.get("send_resolved", True), bool):
        yield Problem(where + ".send_resolved", kind_of(channel["send_resolved"]), "write true or false")
    yield from _check_secrets(where, channel, kind, settings["version"])
    yield from _check_http(where + ".http_config", channel.get("http_config"))
    if channel["kind"] == "email":
        for key in ("from", "smarthost"):
            if not channel.get(key) and not (settings["smtp"] or {}).get(key):
                yield Problem("{0}.{1}".format(where, key), "is missing", "give it here or in alertmanager_smtp." + key)
    if channel["kind"] == "slack" and channel.get("channel") and not ({"app_token", "app_token_file"} & set(channel)):
        found = "has no effect: a webhook of Slack posts to the channel that it was made for"
        yield Problem(where + ".channel", found, "make a webhook for that channel, or give app_token")


def _check_secrets(where, channel, kind, version):
    given = [key for key in kind.secrets if channel.get(key) or channel.get(key + "_file")]
    for key in kind.secrets:
        for name in (key, key + "_file"):
            if name in channel and channel[name] and not isinstance(channel[name], str):
                yield Problem("{0}.{1}".format(where, name), kind_of(channel[name]), "write a string, in quotes")
        if channel.get(key) and channel.get(key + "_file"):
            yield Problem("{0}.{1}".format(where, key), "is given as {0}_file as well".format(key), "keep one of them")
        value = channel.get(key)
        if key in _URLS and isinstance(value, str) and value and not re.match(r"https?://\S+$", value.strip()):
            yield Problem("{0}.{1}".format(where, key), "is no URL", "begin it with https://")
        if key in given and too_old(version, kind.secrets[key]):
            yield Problem(
                "{0}.{1}".format(where, key + "_file" if channel.get(key + "_file") else key),
                "needs the key {0}_file, which works from Alertmanager {1} on, and this is {2}".format(
                    key, kind.secrets[key], version
                ),
                "deploy {0} or newer, as secrets are not written into the main file".format(kind.secrets[key]),
            )
    if kind.one_of and not given:
        either = " or ".join(kind.one_of)
        remedy = "give {0}, or as the path of a file on the host {1}_file".format(either, kind.one_of[0])
        yield Problem("{0}.{1}".format(where, kind.one_of[0]), "is missing", remedy)
    elif kind.one_of and len(given) > 1:
        yield Problem(where, "has {0}".format(" and ".join(given)), "keep one of them")


def _check_http(where, config):
    if config is not None and not isinstance(config, dict):
        yield Problem(where, kind_of(config), "write it as Alertmanager's http_config")
    for key, value in config.items() if isinstance(config, dict) else ():
        if isinstance(value, dict):
            yield from _check_http("{0}.{1}".format(where, key), value)
        elif key == "secrets":
            yield Problem("{0}.{1}".format(where, key), "would be in the main file", "give files instead")


def hide(data, path, secrets, files):
    """A channel's options with each secret moved to a file: its key gets the suffix ``_file``.

    :param path: words that name the channel, and then the option that holds this one.
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
