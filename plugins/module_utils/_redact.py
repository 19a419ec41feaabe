# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text without its secrets. Known values are scrubbed by Ansible itself (``no_log`` options); this is for the text of
an earlier generation, whose secrets nobody remembers: there the key next to the value gives it away."""

from __future__ import annotations

import re

MASK = "********"

# A key whose value is a secret in the configuration of Prometheus, Alertmanager, Grafana or an exporter. A path is
# no secret: keys that end in `_file` stay readable.
_SECRET_KEY = re.compile(
    r"(?i)(pass(word|wd)?|secret|token|credentials?|api_key|apikey|routing_key|service_key|user_key|private_key"
    r"|access_key|authorization|bearer|dsn|webhook_url|api_url|auth_identity|client_secret|sas_url)$"
)
_LINE = re.compile(r"""^(?P<head>\s*(?:-\s+)*["']?(?P<key>[\w.-]+)["']?\s*:)(?P<value>\s+\S.*|)$""")
# https://user:password@host
_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s:@]*:[^/\s@]*@")
# A bcrypt hash is what basic_auth_users holds.
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")


def is_secret_key(key):
    """Whether values under this key are secrets: ``password`` is, ``password_file`` and ``slack_channel`` are not."""
    return bool(_SECRET_KEY.search(str(key)))


def redact_text(text):
    """Text in YAML or a like shape, with the values of secret keys, credentials in URLs and bcrypt hashes masked.

    Nested values and block scalars under a secret key are masked as well, line by line.
    """
    result = []
    masked_deeper_than = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if masked_deeper_than is not None:
            # A list under a key may stand at the key's own indentation.
            deeper = indent > masked_deeper_than or (indent == masked_deeper_than and line.lstrip().startswith("- "))
            if deeper or not line.strip():
                result.append(" " * indent + MASK if line.strip() else line)
                continue
            masked_deeper_than = None
        match = _LINE.match(line)
        if match and is_secret_key(match.group("key")):
            value = match.group("value").strip()
            if not value or value[0] in "|>&!":
                masked_deeper_than = indent
                result.append(match.group("head") + (" " + MASK if value else ""))
                continue
            # A plain or quoted scalar may go on in deeper lines.
            masked_deeper_than = indent
            result.append("{0} {1}".format(match.group("head"), MASK))
            continue
        line = _USERINFO.sub(lambda found: "{0}{1}@".format(found.group("scheme"), MASK), line)
        result.append(_BCRYPT.sub(MASK, line))
    return "\n".join(result) + ("\n" if text.endswith("\n") else "")
