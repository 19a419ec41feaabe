# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alertmanager's API, version 2, as the modules use it."""

from __future__ import annotations

import datetime
import json
import re
import time

from ansible_collections.vigil.monitoring.plugins.module_utils import _client, _duration
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize

ARGUMENTS = {
    "alertmanager_url": {"type": "str", "required": True},
    "timeout": {"type": "float", "default": 10},
    **_client.OPTIONS,
}

_DURATION = re.compile(r"(?=\d)(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?")


class ApiError(Exception):
    """A request to Alertmanager failed; the message says why and what to do."""


def seconds(duration):
    """A duration such as ``1h30m`` in seconds.

    :raises ValueError: when it is invalid.
    """
    if not _DURATION.fullmatch(str(duration)):
        raise ValueError("{0!r} is not a duration; write one such as 30m, 1h30m or 2d".format(duration))
    return _duration.seconds(duration)


def to_time(stamp):
    """Seconds since the epoch in the format of the API."""
    return datetime.datetime.fromtimestamp(stamp, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_time(text):
    """A time of the API in seconds since the epoch; its fractions may have any number of digits."""
    whole, dummy, rest = text.partition(".")
    moment = datetime.datetime.strptime(whole.rstrip("Z")[:19], "%Y-%m-%dT%H:%M:%S")
    digits = re.match(r"\d*", rest).group()
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp() + float("0." + (digits or "0"))


class Api:
    """One Alertmanager."""

    def __init__(self, url, access, timeout):
        self.url, self.access, self.timeout = url.rstrip("/"), access, timeout
        self._date = None

    def now(self):
        """Seconds since the epoch by the clock of Alertmanager, as of its last answer; by this machine's where that had none."""
        return time.time() if self._date is None else self._date

    @classmethod
    def of(cls, module):
        """The one that a module's arguments name; a password in its URL is kept out of the output."""
        given = module.params
        _client.hide_userinfo(module, given["alertmanager_url"])
        url, access = _client.server_of(given, "alertmanager_url")
        return cls(url, access, given["timeout"])

    def request(self, method, path, body=None):
        """The body of the response, as bytes.

        :param method: of HTTP.
        :param path: below Alertmanager's URL, ``/api/v2/alerts``.
        :param body: what is sent as JSON, or None.
        :raises ApiError: when the request fails.
        """
        try:
            reply = _client.send(method, self.url + path, body, self.access, self.timeout)
        except _client.AskError as error:
            raise ApiError("the request to Alertmanager at {0} failed: {1}".format(self.url, error)) from error
        self._date = _client.date_of(reply)
        if reply.status == 200:
            return reply.body
        raise ApiError(self._refusal(reply))

    def _refusal(self, reply):
        words = sanitize(reply.body[:200]) or "empty response"
        if reply.status in (401, 403):
            remedy = (
                "check url_username and url_password" if self.access.username else "set url_username and url_password"
            )
            return "Alertmanager at {0}: authentication required (HTTP {1}): {2}".format(self.url, reply.status, remedy)
        if reply.status == 404:
            return (
                "not found below {0} (HTTP 404): if Alertmanager is served under a path, alertmanager_url"
                " must end with that path".format(self.url)
            )
        if 300 <= reply.status < 400:
            where = sanitize(_client.without_secrets(reply.headers.get("Location") or "nowhere"))
            return "Alertmanager at {0} redirects to {1}, which is not followed: set alertmanager_url to that".format(
                self.url, where
            )
        return "Alertmanager at {0} answers HTTP {1}: {2}".format(self.url, reply.status, words)

    def json(self, method, path, body=None, kind=dict):
        """The response as a structure.

        Parameters as in :meth:`request`, and ``kind``, what it has to be; the API: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml.

        :raises ApiError: when the request fails, or the response is something else.
        """
        answer = self.request(method, path, body)
        try:
            found = json.loads(answer)
        except ValueError as error:
            raise ApiError("the server at {0} is not Alertmanager: {1}".format(self.url, error)) from error
        if not isinstance(found, kind):
            said = sanitize(answer[:200])
            raise ApiError(
                "the server at {0} is not Alertmanager: {1} {2} answers {3}".format(self.url, method, path, said)
            )
        return found
