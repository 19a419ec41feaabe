# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana's ini: its layers, its secrets, its text, and the address that it gives."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import urlsplit

from ansible_collections.vigil.monitoring.plugins.module_utils._redact import is_secret_key

PORT = 3000
# Where the key is kept with which Grafana encrypts, inside the configuration directory, and the one that every Grafana has
# which was given none.
SECRET_KEY = "secrets/security.secret_key"
KNOWN_KEY = "SW2YcwTIb9zpOOhoPsMm"
# What Grafana reads from elsewhere when it starts: $__file{/path}, $__env{NAME}, ${NAME}.
REFERENCE = re.compile(r"\$(__\w+)?\{[^}]+\}")
_FILE = re.compile(r"\$__file\{([^}]+)\}")
_USERINFO = re.compile(r"[a-zA-Z][\w+.-]*://[^/\s@]*:[^/\s@]+@")
# Whom Grafana knows as providers of OAuth, and the keys without which nobody can log in there; it has the addresses of the others.
PROVIDERS = {
    "generic_oauth": ("auth_url", "token_url"),
    "azuread": ("auth_url", "token_url"),
    "okta": ("auth_url", "token_url", "api_url"),
    **dict.fromkeys(("github", "gitlab", "google", "grafana_com", "grafananet"), ()),
}
# Secrets whose keys do not say so.
_FURTHER_SECRETS = ("connstr",)


def grafana_ini(layers):
    """The sections of grafana.ini, the later layers over the earlier ones.

    :param layers: dicts of section to keys, in which a section may hold further ones, as ``auth.ldap`` is ``ldap`` in
        ``auth``. A value of None takes a key out.
    """
    merged = {}
    for layer in layers:
        merged = merge(merged, layer or {})
    return merged


def merge(base, over):
    """A dict with the values of another one over its own, at any depth; None takes a key out."""
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merge(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result


def flat(ini):
    """``section -> key -> value``, with sections inside sections as ``auth.ldap``; the first one has no name."""
    sections = {"": {}}

    def add(name, keys):
        for key, value in keys.items():
            if isinstance(value, dict):
                inner = "{0}.{1}".format(name, key) if name else str(key)
                sections.setdefault(inner, {})
                add(inner, value)
            else:
                sections[name][str(key)] = value

    add("", ini)
    return sections


def _word(value):
    """A value as Grafana reads it; a list as it splits one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(_word(item) for item in value)
    return "" if value is None else str(value)


def _quoted(word):
    """A value that the ini parser gives back unchanged: a ``#`` or ``;`` begins a comment anywhere in a line."""
    if not re.search(r"[#;\n`]|^[\"']|\\$|^\s|\s$", word):
        return word
    if "`" not in word:
        return "`{0}`".format(word)
    if '"""' not in word and not word.endswith('"'):
        return '"""{0}"""'.format(word)
    raise ValueError(
        "a value of grafana_ini contains both a backtick and three quotes, which an ini file cannot represent"
    )


def is_secret(key, value):
    """Whether a key of the ini holds a secret in so many words, not the place where it is."""
    if isinstance(value, (bool, dict)) or not str(value).strip() or REFERENCE.fullmatch(str(value).strip()):
        return False
    return is_secret_key(key) or key in _FURTHER_SECRETS or bool(_USERINFO.search(str(value)))


def secret_key(config_dir, data, renew):
    """How the key is kept with which Grafana encrypts what is secret in its database; for config_files.

    :param data: path of the database.
    :param renew: whether another one is accepted.
    """
    return {
        "data": data,
        "before": KNOWN_KEY,
        "file": "grafana.ini",
        "pattern": r"(?ms)^\[security\](?:(?!^\[).)*?^[ \t]*secret_key[ \t]*=[ \t]*([^\n]*?)[ \t]*$",
        "reference": "$__",
        "what": "the key with which Grafana encrypts passwords in its database",
        "variable": "grafana_security.secret_key",
        "everybody": (
            "It is kept, because the data in {0} can be decrypted only with it. To change it, rotate its data keys"
            " (POST /api/admin/encryption/rotate-data-keys), then set grafana_security.secret_key and"
            " grafana_renew_secret_key: true for one run; passwords that were entered by hand must be entered again".format(
                data
            )
        ),
        "another": (
            "The secrets in {0} could no longer be decrypted. Remove it, or accept that with"
            " grafana_renew_secret_key: true; passwords that were entered by hand must then be entered again".format(
                data
            )
        ),
        "renew": bool(renew),
    }


def split_secrets(ini, config_dir):
    """The ini with each secret replaced by the file that holds it.

    :returns: sections as :func:`flat` gives them, and path inside the configuration directory -> secret.
    """
    secrets, sections = {}, {}
    for section, keys in flat(ini).items():
        sections[section] = {}
        for key, value in keys.items():
            if is_secret(key, value):
                path = "secrets/{0}.{1}".format(section or "DEFAULT", key)
                secrets[path] = _word(value)
                value = "$__file{{{0}}}".format(posixpath.join(config_dir, path))
            sections[section][key] = value
    return sections, secrets


def ini_text(sections):
    """The text of grafana.ini.

    :param sections: section -> key -> value; the first one may have no name.
    """
    lines = ["# Written by vigil.monitoring from grafana_ini; secrets are in files beside this one."]
    for section, keys in sections.items():
        if not keys:
            continue
        if section:
            lines += ["", "[{0}]".format(section)]
        lines += ["{0} = {1}".format(key, _quoted(_word(value))) for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def readable_files(ini):
    """Absolute paths of files that the ini names and that Grafana reads when it starts."""
    found = set()
    for section, keys in flat(ini).items():
        for key, value in keys.items():
            text = str(value)
            found.update(path for path in _FILE.findall(text) if path.startswith("/"))
            if section == "server" and key in ("cert_file", "cert_key") and text.startswith("/"):
                found.add(text)
    return sorted(found)


def is_on(value):
    """Whether Grafana takes a value for true."""
    return str(value).lower() in ("true", "t", "1", "yes", "y", "on")


def is_off(value):
    """Whether Grafana takes a value for false."""
    return str(value).lower() in ("false", "f", "0", "no", "n", "off")


def providers(ini):
    """The providers of OAuth that are enabled: name -> keys of its section."""
    sections = flat(ini)
    found = {name: sections.get("auth." + name) or {} for name in PROVIDERS}
    return {name: section for name, section in found.items() if is_on(section.get("enabled"))}


def logins(ini):
    """Where people can log in, other than with a password of Grafana's own.

    :returns: dict with ``oauth``, the paths that lead to its providers, and ``ldap``, whether there is such a login.
    """
    # It has one provider of two names.
    names = ["grafana_com" if name == "grafananet" else name for name in providers(ini)]
    return {
        "oauth": ["/login/" + name for name in names],
        "ldap": is_on((flat(ini).get("auth.ldap") or {}).get("enabled")),
    }


def clients(ini):
    """The clients that Grafana is at its providers of OAuth, as far as they can be asked whether they know it; for grafana_content.

    Not where it proves itself by something else than a secret, and not where address or secret are elsewhere.
    """
    found = []
    for name, section in providers(ini).items():
        given = {key: str(section.get(key) or "") for key in ("client_id", "client_secret", "token_url")}
        others = any(section.get(key) for key in ("client_authentication", "tls_client_cert"))
        if others or not all(given.values()) or any(REFERENCE.search(value) for value in given.values()):
            continue
        authority = {"ca_path": str(section["tls_client_ca"])} if section.get("tls_client_ca") else {}
        found.append({"name": name, **given, **authority, "verify": not is_on(section.get("tls_skip_verify_insecure"))})
    return found


def address(layers):
    """Host, port, scheme, path prefix and path of the metrics of a Grafana with these layers of its ini."""
    server = grafana_ini(layers).get("server") or {}
    host = str(server.get("http_addr") or "")
    scheme = "https" if str(server.get("protocol") or "http") in ("https", "h2") else "http"
    prefix = ""
    if is_on(server.get("serve_from_sub_path")):
        path = urlsplit(re.sub(r"%\([^)]*\)s", "x", str(server.get("root_url") or ""))).path.strip("/")
        prefix = "/" + path if path else ""
    host = "" if host in ("0.0.0.0", "::", "*") else host.strip("[]")
    return host, int(server.get("http_port") or PORT), scheme, prefix, prefix + "/metrics"
