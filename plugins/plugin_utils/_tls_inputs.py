# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the variables of ``monitoring_tls``: found before anything is changed. No secret is repeated."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from typing import NamedTuple

from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _scrape, _tls
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inputs import BCRYPT, MAKES_HASH
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Doubt, Problem, did_you_mean, shown

# Verification's certificate is valid for as long.
LEAST_DAYS = 3
# How long before its end the authority's own is warned of, in days.
WARN_DAYS = 365
# bcrypt takes no more.
MOST_BYTES = 72
ROTATE = "`ansible-playbook vigil.monitoring.rotate_ca`, with your inventory"
NAMES = [
    *("monitoring_tls_" + name for name in ("source", "dir", "passphrase", "days", "names")),
    *("monitoring_" + name for name in ("password", "username", "users")),
    *_tls.FILES.values(),
]


class Values(NamedTuple):
    """What a host's variables say, rendered.

    :ivar room: the room of the service.
    :ivar host: name of the host.
    :ivar get: function of the name of a variable, which returns its value or None.
    """

    room: object
    host: str
    get: Callable

    def __getitem__(self, name):
        """An input of the service, by its name without the service's."""
        return self.get("{0}_{1}".format(self.room.name, name))

    @property
    def url(self) -> str:
        """Under which people reach the service, or an empty text."""
        return str(self.room.external_url(self) or "")

    def is_closed(self) -> bool:
        """Whether ``<service>_tls`` closes it."""
        return self.room.leaves_tls(self.__getitem__) and _tls.switched_on(self["tls"], self.get("monitoring_tls"))

    def files(self) -> list[str]:
        """Which of :data:`_tls.FILES` it needs: for its verification, or to scrape others."""
        asks = self.room.closed_by == _tls.CERTIFICATE or self.room.scrapes
        return [what for what in _tls.FILES if asks or not what.startswith("client")]


class TlsChecks:
    """Checks for all services and hosts of a run; what they share is checked once.

    :param read: function of a path on the controller that returns its text, decrypted by the vault passwords of this run.
    """

    def __init__(self, read: Callable[[str], str]):
        self._read, self._known = read, {}

    def problems(self, values: Values) -> list:
        """Everything that is wrong, as :class:`_problems.Problem` and ``Doubt``."""
        if not values.is_closed():
            return []
        given, found = {}, []
        for name in NAMES:
            try:
                given[name] = values.get(name)
            except AnsibleError as error:
                found.append(Problem(name, "cannot be evaluated", str(error)))
        if found:
            return found
        shared = (repr(given), values.room.closed_by, values.room.scrapes, values.room.proxy, self._folder_key(values))
        if shared not in self._known:
            self._known[shared] = [*self._shared(values, given)]
        return [*self._known[shared], *self._of_host(values, given)]

    @staticmethod
    def _folder_key(values):
        return repr([values.get(name) for name in ("ansible_inventory_sources", "inventory_dir")])

    # What is the same for many hosts

    def _shared(self, values, given):
        yield from check_people(values.room.closed_by, given)
        source = given["monitoring_tls_source"] or _tls.CA
        if source not in _tls.SOURCES:
            known = "known are {0}".format(", ".join(_tls.SOURCES))
            yield Problem(
                "monitoring_tls_source", "is {0}".format(shown(source)), did_you_mean(source, _tls.SOURCES, known)
            )
        elif source != _tls.CA:
            yield from check_files(source, given, values.files())
        days = given["monitoring_tls_days"]
        if days is not None and (not str(days).isdigit() or int(days) < LEAST_DAYS):
            yield Problem(
                "monitoring_tls_days", "is {0}".format(shown(days)), "give {0} days or more".format(LEAST_DAYS)
            )
        yield from check_names(given["monitoring_tls_names"])
        served_by = _rooms.load(values.room.proxy) if values.room.proxy else values.room
        yield from served_by.check_tls(given)
        yield from self._authority(values, given, source)

    def _authority(self, values, given, source):
        """The authority and the machines' passwords, where they are there already."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _authority_store as stores  # noqa: PLC0415
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import AuthorityProblem  # noqa: PLC0415

        passphrase = given["monitoring_tls_passphrase"] or given["monitoring_password"]
        try:
            folder = _tls.folder_of(values.get)
        except _tls.FormerFolder as error:
            yield Problem("monitoring_tls_dir", "is not set, and {0}".format(error.found), error.remedy)
            return
        except AnsibleError:
            yield Problem(
                "monitoring_tls_dir",
                "is not set, and the inventory has no directory",
                "name a directory of the controller for the certificate authority",
            )
            return
        if not passphrase:
            return
        store = stores.Store(folder, str(passphrase), self._read, keep=False)
        try:
            if os.path.exists(store.path(stores.MACHINES)):
                store.machines()
            store.check_renewals()
            if source == _tls.CA and store.is_there():
                yield from check_authority(store)
        except AuthorityProblem as error:
            yield Problem("monitoring_tls_dir", str(error), "correct that, or restore {0} from a backup".format(folder))
        parent = folder
        while not os.path.exists(parent):
            parent = os.path.dirname(parent)
        if not os.path.exists(store.path(stores.MACHINES)) and not os.access(parent, os.W_OK | os.X_OK):
            yield Problem(
                "monitoring_tls_dir",
                "{0} cannot be written".format(folder),
                "name another directory, or make it writable",
            )

    # What is a host's own

    def _of_host(self, values, given):
        source = _tls.CONTROLLER
        if given["monitoring_tls_source"] != source or any(check_files(source, given, values.files())):
            return
        from ansible_collections.vigil.monitoring.plugins.plugin_utils import _authority, _certificates  # noqa: PLC0415

        texts = {}
        for what in values.files():
            variable = _tls.FILES[what]
            try:
                texts[what] = (str(given[variable]), self._text(str(given[variable])))
            except AnsibleError as error:
                yield Problem(
                    variable, "{0} cannot be read: {1}".format(given[variable], error), "correct the path, or the file"
                )
        names = _tls.names_of_host(values.host, values.get, values.url)
        both = values.room.shows_own_certificate(values)
        yield from _certificates.problems(texts, _authority.now(), names, reached_as(values), both=both)
        yield from check_url(texts, values.url)

    def _text(self, path):
        key = ("text", path)
        if key not in self._known:
            self._known[key] = self._read(path)
        return self._known[key]


def check_people(closed_by, given):
    """Who logs in, and with what."""
    password, passphrase = given["monitoring_password"], given["monitoring_tls_passphrase"]
    if not password and not passphrase:
        yield Problem(
            "monitoring_password",
            "is not set",
            "put it into a vault: monitoring_tls needs it for the people who log in, and to encrypt the key of the certificate"
            " authority",
        )
    elif not password and closed_by == _tls.PASSWORD and not given["monitoring_users"]:
        yield Doubt("monitoring_password", "is not set", "nobody can log in; set it, or monitoring_users")
    raw = str(password or "").encode("utf-8")
    if len(raw) > MOST_BYTES or b"\0" in raw:
        found = "has {0} bytes".format(len(raw)) if len(raw) > MOST_BYTES else "has a NUL"
        # What is beyond would not count, and would let in whoever knows the beginning.
        yield Problem(
            "monitoring_password", found, "give one of at most {0} bytes: bcrypt takes no more".format(MOST_BYTES)
        )
    if closed_by == _tls.PASSWORD and not _there("bcrypt"):
        yield Problem(
            "monitoring_tls",
            "needs the Python library bcrypt on the controller",
            _tls.INSTALL_BCRYPT.format(sys.executable),
        )
    users = given["monitoring_users"] or {}
    if not isinstance(users, dict):
        yield Problem("monitoring_users", "is no dictionary", "give user names to bcrypt hashes")
        users = {}
    for user, hashed in users.items():
        if not BCRYPT.fullmatch(str(hashed)):
            yield Problem(
                "monitoring_users[{0!r}]".format(str(user)),
                "is not a bcrypt hash",
                "{0}, and give the line that begins with $2".format(MAKES_HASH),
            )
    named = {
        "monitoring_username": given["monitoring_username"],
        **{"monitoring_users[{0!r}]".format(str(user)): user for user in users},
    }
    for where, user in named.items():
        if str(user) in _tls.MACHINES:
            yield Problem(
                where, "is the name of a machine", "give another one than {0}".format(", ".join(_tls.MACHINES))
            )
        elif user is not None and (":" in str(user) or not str(user)):
            yield Problem(where, "is empty, or has a colon", "give a user name without one")


def _there(library):
    try:
        return importlib.util.find_spec(library) is not None
    except ValueError:  # something has made it one that cannot be imported
        return False


def check_files(source, given, wanted):
    """The files that something else has made: each is named, by an absolute path."""
    where = "on the hosts" if source == _tls.HOST else "of the controller, such as '{{ inventory_dir }}/files/host.crt'"
    for what in wanted:
        variable = _tls.FILES[what]
        path = given[variable]
        if not path:
            yield Problem(
                variable, "is not set", "monitoring_tls_source: {0} needs it; name a file {1}".format(source, where)
            )
        elif not os.path.isabs(str(path)):
            yield Problem(variable, "is {0}".format(shown(path)), "give the absolute path of a file {0}".format(where))


def check_names(names):
    """Names for the certificate of a host."""
    if names is None:
        return
    if not isinstance(names, (list, tuple)):
        yield Problem("monitoring_tls_names", "is {0}".format(shown(names)), "give a list of DNS names and addresses")
        return
    for name in names:
        if not _tls.is_name(str(name).strip("[]")):
            found = "{0} is neither a DNS name nor an address".format(shown(name))
            yield Problem(
                "monitoring_tls_names", found, "write it without scheme and port, such as web1.example.org or 192.0.2.7"
            )


def check_authority(store):
    """The time for which the authority is valid.

    :raises AuthorityProblem: when its files cannot be used.
    """
    from ansible_collections.vigil.monitoring.plugins.plugin_utils import _authority  # noqa: PLC0415

    found, at = store.authority(), _authority.now()
    where, end = store.path("ca.crt"), _authority.end_of(found.certificate)
    if end <= at:
        remedy = "move {0} aside and run site.yml on all hosts, which makes a new authority".format(store.folder)
        yield Problem("monitoring_tls_dir", "{0} expired on {1:%Y-%m-%d}".format(where, end), remedy)
    elif (end - at).days < WARN_DAYS:
        yield Doubt(
            "monitoring_tls_dir", "{0} expires on {1:%Y-%m-%d}".format(where, end), "rotate it: {0}".format(ROTATE)
        )
    if _authority.begin_of(found.certificate) > at:
        began = _authority.begin_of(found.certificate)
        remedy = "correct the clock of the controller, which says {0:%Y-%m-%d %H:%M} UTC".format(at)
        yield Problem(
            "monitoring_tls_dir", "{0} is not valid before {1:%Y-%m-%d %H:%M} UTC".format(where, began), remedy
        )


def reached_as(values):
    """The name or address under which Prometheus reaches a service."""
    name = values.room.name

    def value(dummy, variable):
        return values.get(variable)

    own = (values.get("monitoring_scrape") or {}).get(name)
    if own is False:
        return ""
    if isinstance(own, dict) and own.get("address"):
        return str(own["address"]).strip("[]")
    try:
        bound = _scrape.endpoint(name, values.host, value).host
        return bound if bound and _scrape.is_loopback(bound) else _scrape.address_of(values.host, value)
    except (_scrape.ScrapeError, ValueError):
        return ""  # what is wrong with it is said elsewhere


def check_url(texts, url):
    """Whether the certificate is for the URL that people use; something else may serve that."""
    from ansible_collections.vigil.monitoring.plugins.plugin_utils import _authority  # noqa: PLC0415

    host = _tls.host_of(url)
    path, text = texts.get("certificate") or ("", "")
    try:
        (first, *dummy) = _authority.read_certificates(text)
    except ValueError:
        return
    if host and not _authority.covers(first, host):
        found = "{0} is not for {1}, the host in its external URL".format(path, host)
        yield Doubt(_tls.FILES["certificate"], found, "browsers will warn, unless something else serves that URL")
