# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Grafana says of itself through its API, and whether that is what was provisioned. Answers in, sentences out."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from ansible_collections.vigil.monitoring.plugins.module_utils._ldap_message import SUCCESS
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize

# A question that a data source of this type answers whatever it holds. It is asked as a panel asks: the proxy by uid of
# early versions stumbles over a hyphen, and they have no route for the health of a data source.
QUESTIONS = {
    "prometheus": {"expr": "vector(1)", "instant": True},
    "loki": {"expr": "vector(1)", "queryType": "instant"},
}
# The organisation that every Grafana has, of which all is that has no other.
MAIN = 1
# What Grafana itself fills in.
_ITS_OWN = ("id", "version")


def of_organisation(number):
    """The headers of a request about an organisation. Without one it is about that which the administrator has open."""
    return (("X-Grafana-Org-Id", str(number)),)


def _canonical(value):
    """A structure in which 1.0 is 1, as Grafana may write either."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _digest(value):
    return hashlib.sha256(json.dumps(_canonical(value), sort_keys=True).encode("utf-8")).hexdigest()


def _meaning(value, key=None):
    """What a dashboard is about whatever its schema: its titles, its queries, the names of its variables."""
    if isinstance(value, dict):
        for name in sorted(value):
            yield from _meaning(value[name], name)
    elif isinstance(value, list):
        for item in value:
            yield from _meaning(item, key)
    elif key in ("title", "expr", "query", "name") and isinstance(value, str) and value:
        yield "{0}={1}".format(key, value)


def expectation(dashboard):
    """What the verification has to find of a dashboard.

    :param dashboard: its parsed JSON.
    :returns: dict with ``uid``, ``title``, ``schema``, ``digest`` of all and ``meaning``, the digest of what stays when a
        newer Grafana brings a dashboard up to its own schema.
    """
    kept = {key: value for key, value in dashboard.items() if key not in _ITS_OWN}
    return {
        "uid": str(dashboard.get("uid") or ""),
        "title": str(dashboard.get("title") or ""),
        "schema": int(dashboard.get("schemaVersion") or 0),
        "digest": _digest(kept),
        "meaning": _digest(sorted(set(_meaning(kept)))),
    }


def dashboard_problem(expected, answer):
    """Why a dashboard in Grafana is not the provisioned one: a message, or None.

    :param expected: as :func:`expectation` says.
    :param answer: parsed answer of ``/api/dashboards/uid/UID``.
    """
    if not (answer.get("meta") or {}).get("provisioned"):
        return "was not provisioned, but created by a user"
    found = expectation(answer.get("dashboard") or {})
    if found["digest"] == expected["digest"]:
        return None
    if found["schema"] != expected["schema"] and found["meaning"] == expected["meaning"]:
        return None
    return "differs from the file on disk"


def source_problem(expected, answer):
    """Why a data source in Grafana is not the provisioned one: a message, or None.

    :param expected: dict with ``name``, ``type`` and ``url``.
    :param answer: parsed answer of ``/api/datasources/uid/UID``.
    """
    for key in ("name", "type", "url"):
        if expected.get(key) and str(answer.get(key) or "") != str(expected[key]):
            return "has {0} {1!r} instead of {2!r}".format(key, answer.get(key), expected[key])
    return None


def source_question(source):
    """A request that queries a data source through Grafana: path and body; no body for a health check only."""
    uid, question = source["uid"], QUESTIONS.get(source.get("type"))
    if source.get("type") == "alertmanager":
        # No panel asks it: Grafana's pages of alerts and silences do, in this way. Its status would hold the configuration, which Grafana
        # reads with the Alertmanager that it was built with. There are no silences of an alert that nobody has.
        return "/api/alertmanager/{0}/api/v2/silences?filter=alertname%3D%22no-alert%22".format(quote(uid)), None
    if question is None:
        return "/api/datasources/uid/{0}/health".format(quote(uid)), None
    query = dict(question, refId="A", datasource={"uid": uid, "type": source["type"]})
    return "/api/ds/query", {"queries": [query], "from": "now-5m", "to": "now"}


def answer_problem(status, text):
    """Why the response to such a query is an error: a message, or None.

    :param status: HTTP status.
    :param text: body.
    """
    try:
        results = json.loads(text).get("results") or {}
    except (ValueError, AttributeError):
        results = {}
    errors = [result.get("error") for result in results.values() if result.get("error")]
    if status == 200 and not errors:
        return None
    return sanitize(errors[0]) if errors else "HTTP {0}: {1}".format(status, message_of(text))


def message_of(text):
    """The error message in a response of Grafana, short enough for a sentence."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    said = answer.get("message") or answer.get("error") if isinstance(answer, dict) else None
    return sanitize(said or text) or "empty response"


def ldap_problems(text):
    """Sentences about servers of LDAP that Grafana cannot reach.

    :param text: answer of ``/api/admin/ldap/status``.
    """
    for server in json.loads(text):
        if not server.get("available"):
            yield "its LDAP server {0}:{1} cannot be reached: {2}".format(
                server.get("host"), server.get("port"), sanitize(server.get("error") or "no reason is given")
            )


def login_begins(status, location):
    """Where a login at a provider of OAuth begins.

    :param status: HTTP status with which Grafana answers who wants to log in there.
    :param location: where it sends them.
    :returns: the URL without its query, the client that Grafana is there, and the URL at which people come back; None where it
        sends them nowhere.
    """
    page = urlsplit(str(location or ""))
    if not 300 <= status < 400 or page.scheme not in ("http", "https"):
        return None
    asked = dict(parse_qsl(page.query))
    url = urlunsplit(page._replace(query="", fragment=""))
    return url, asked.get("client_id", ""), asked.get("redirect_uri", "")


def is_saved(status, text):
    """Whether people have saved the settings of a login in Grafana, which has them in its database from then on.

    :param status: HTTP status of the answer of ``/api/v1/sso-settings/NAME``; versions that know no such thing have none.
    :param text: its body.
    """
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    return status == 200 and isinstance(answer, dict) and answer.get("source") == "database"


# How providers of OAuth say that they do not know a client, or that its secret is another one.
UNKNOWN_CLIENT = ("invalid_client", "unauthorized_client", "incorrect_client_credentials")


def client_problem(client, status, text):
    """Why a provider of OAuth does not take a client with its secret: a message, or None.

    :param client: one of the option ``clients`` of the module grafana_content.
    :param status: HTTP status of its answer to a code that nobody has.
    :param text: body of that.
    """
    if status in (404, 405):
        return "{token_url} answers HTTP {0}: nobody gives tokens there; correct grafana_auth.{name}.token_url".format(
            status, **client
        )
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    if not isinstance(answer, dict) or answer.get("error") not in UNKNOWN_CLIENT:
        return None
    said = sanitize(answer.get("error_description") or answer["error"])
    return "{token_url} does not take the client {client_id} with its secret: {0}; correct grafana_auth.{name}.client_secret".format(
        said, **client
    )


# Results of LDAP that are about how the connection is protected, and about the name alone.
_WITHOUT_TLS = (8, 13)
_OF_THE_NAME = (32, 34, 48)


def bind_problem(server, host, result):
    """Why a server of LDAP does not let Grafana log in: a message, or None.

    :param server: one of the option ``ldap_servers`` of the module grafana_content.
    :param host: which of its hosts has answered.
    :param result: its answer, a :class:`_ldap_message.Result`.
    """
    if result.code == SUCCESS:
        return None
    if result.code in _WITHOUT_TLS and not server["use_ssl"]:
        remedy = "set use_ssl: true, or use_ssl and start_tls, in {name}"
    elif result.code in _OF_THE_NAME:
        remedy = "correct {name}.bind_dn"
    else:
        remedy = "correct {name}.bind_password or bind_dn"
    text = "nobody can log in by the LDAP server {0}:{1}: it does not take {2} with its password: {3}; {4}"
    said = sanitize(result.words)
    return text.format(host, server["port"], shown_name(server), said, remedy.format(name=server["name"]))


def shown_name(server):
    """As whom Grafana logs in at a server of LDAP."""
    return sanitize(server["bind_dn"]) or "an empty bind_dn"


def health_problem(text):
    """The problem that ``/api/health`` reports: a message, or None."""
    try:
        health = json.loads(text)
    except ValueError:
        return "its health is not JSON"
    if not isinstance(health, dict) or health.get("database") != "ok":
        state = health.get("database") if isinstance(health, dict) else None
        return "its database does not work (health: {0!r})".format(state)
    return None


def plugin_problems(wanted, answer):
    """Sentences about missing plugins.

    :param wanted: plugin -> version.
    :param answer: parsed answer of ``/api/plugins``.
    """
    there = {plugin.get("id"): (plugin.get("info") or {}).get("version") for plugin in answer}
    for name, version in sorted(wanted.items()):
        if name not in there:
            yield "it did not load the plugin {0}; see its log (plugins must be signed)".format(name)
        elif there[name] != version:
            yield "it has version {1} of the plugin {0}, expected is {2}".format(name, there[name], version)
