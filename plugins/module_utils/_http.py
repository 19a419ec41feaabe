# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to a service on this very host.

Not ``fetch_url``: a probe must ignore proxies and ``.netrc``, needs no redirects, checks the certificate's chain but not
the name (the certificate is for the public name, the probe goes to a loopback address), and is imported in a tenth of
the time, which a converged run notices.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """What came back.

    :ivar status: HTTP status, or 0 when no answer came.
    :ivar text: the body, or the reason why there is none.
    """

    status: int
    text: str


def get(url, username=None, password=None, ca_path=None, timeout=5.0, method="GET"):
    """Ask and never raise.

    :param url: http or https URL.
    :param username: name for basic authentication, or None.
    :param password: its password.
    :param ca_path: file with the certificate authority to check the chain against; without it the chain is not checked.
    :param timeout: seconds for the connection and for each read.
    :param method: of the request, which has no body.
    """
    parts = urlsplit(url)
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=ca_path)
            context.check_hostname = False
            if not ca_path:
                context.verify_mode = ssl.CERT_NONE
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        headers = {}
        if username:
            pair = "{0}:{1}".format(username, password or "").encode("utf-8")
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
        try:
            path = parts.path or "/"
            connection.request(method, path + ("?" + parts.query if parts.query else ""), headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode("utf-8", "replace"))
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, socket.timeout, ValueError) as error:
        return Answer(0, "{0}: {1}".format(type(error).__name__, error) if not str(error) else str(error))
