# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tasks do with the certificate authority of an inventory, once for all hosts of a play."""

from __future__ import annotations

import os
import re
import shlex

from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _tls
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import Subject, end_of, now
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority_store import (
    ANNOUNCED,
    IDLE,
    SWITCHED,
    write_to,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inventory import HostValues
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import plain

ANNOUNCE, SWITCH, FINISH = "announce", "switch", "finish"
CLIENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,49}")
# A certificate that somebody has lost lets in whoever finds it until it ends.
MOST_DAYS = 365
# What each step of a rotation would do, or has done, and where the rotation is then.
STEPS = {
    ANNOUNCE: ("a new certificate authority is trusted beside the old one, which still issues", ANNOUNCED),
    SWITCH: ("the new certificate authority issues, and both are trusted", SWITCHED),
    FINISH: ("the new certificate authority alone is trusted", IDLE),
}


class Shared:
    """Variables that are no service's, of one host: what :func:`_tls.store_of` takes.

    :param host: name of the host.
    :param value: function of a host and the name of a variable.
    :param look_up: function of the name of a lookup plugin and its terms.
    :param check_mode: whether nothing may be changed.
    """

    deploys = True

    def __init__(self, host, value, look_up, check_mode):
        self.host, self.lookup, self.check_mode = host, look_up, check_mode
        self._value = value

    def shared(self, name, default=None):
        """A variable, or a default where it is not set."""
        found = plain(self._value(self.host, name))
        return default if found is None else found


class AuthorityTask:
    """A task of a play.

    :param loader: Ansible's data loader.
    :param templar: that of the task.
    :param task_vars: its variables.
    :param check_mode: whether nothing may be changed.
    """

    def __init__(self, loader, templar, task_vars: dict, check_mode: bool):
        self._loader, self._templar, self._vars, self.check_mode = loader, templar, task_vars, check_mode
        extra = {"groups": task_vars["groups"], "ansible_play_hosts": task_vars["ansible_play_hosts"]}
        self._value = HostValues(task_vars["hostvars"], templar, extra)

    def _look_up(self, name, *terms, **options):
        plugin = lookup_loader.get(name, loader=self._loader, templar=self._templar)
        return plugin.run(list(terms), variables=self._vars, **options)

    def members(self) -> list[str]:
        """The hosts of the inventory that have certificates of the authority."""
        groups = self._vars["groups"]
        hosts = {host for name in _rooms.names() for host in groups.get(name) or ()}
        return sorted(host for host in hosts if self._is_member(host))

    def _is_member(self, host):
        shared = self._shared(host)
        switches = [shared.shared(name + "_tls") for name in _rooms.names()]
        on = any(_tls.switched_on(own, shared.shared("monitoring_tls")) for own in switches)
        return on and shared.shared("monitoring_tls_source", _tls.CA) == _tls.CA

    def _shared(self, host):
        return Shared(host, self._value, self._look_up, self.check_mode)

    def store(self, members):
        """The files of the authority.

        :raises AnsibleError: when no host has certificates of it, or hosts have those of several.
        """
        if not members:
            raise AnsibleError(
                "no host has certificates of an authority of this inventory: monitoring_tls is false, or monitoring_tls_source is"
                " another one than ca"
            )
        stores = {}
        for host in members:
            shared = self._shared(host)
            stores.setdefault(_tls.folder_of(shared.shared), shared)
        if len(stores) > 1:
            raise AnsibleError(
                "monitoring_tls_dir differs between hosts: {0}; take an inventory in which all have the same".format(
                    ", ".join("{0} ({1})".format(shared.host, folder) for folder, shared in sorted(stores.items()))
                )
            )
        shared = next(iter(stores.values()))
        return _tls.store_of(shared)

    def rotate(self, step: str) -> dict:
        """Take a step of a rotation.

        :raises AnsibleError: when hosts are left out, or the files of the authority cannot be used.
        """
        members = self.members()
        self._refuse_some(members)
        store = self.store(members)
        words, stage = STEPS[step]
        before = store.stage()
        # A rotation that is under way goes on where it was: its next step is no new one.
        order = [IDLE, ANNOUNCED, SWITCHED]
        if step != FINISH and order.index(before) >= order.index(stage):
            return self._result(store, False, "nothing to do: " + {done: text for text, done in STEPS.values()}[before])
        if self.check_mode:
            return self._result(store, before != stage, "would be done: " + words)
        changed = {ANNOUNCE: store.announce, SWITCH: store.switch, FINISH: store.finish}[step]()
        return self._result(store, changed, words)

    @staticmethod
    def _result(store, changed, words):
        ends = [
            "{0} until {1:%Y-%m-%d}".format(one.subject.rfc4514_string(), end_of(one))
            for one in store.authority().trusted
        ]
        return {"changed": changed, "msg": words, "stage": store.stage(), "directory": store.folder, "trusted": ends}

    def _refuse_some(self, members):
        """A host that does not hear of a new authority would be cut off by the next step."""
        tags = [tag for tag in self._vars.get("ansible_run_tags") or ["all"] if tag != "all"]
        skipped = self._vars.get("ansible_skip_tags") or []
        if tags or skipped:
            raise AnsibleError(
                "{0} leaves services out, which would not know the new certificate authority when the others have its"
                " certificates: run without tags".format("--skip-tags" if skipped else "--tags")
            )
        missing = sorted(set(members).difference(self._vars["ansible_play_hosts"]))
        if missing:
            several = " and {0} more".format(len(missing) - 5) if len(missing) > 5 else ""
            why = (
                "--limit leaves them out: run without it"
                if self._vars.get("ansible_limit")
                else "they failed, or could not be reached: correct that, and run this playbook again, which goes on where it was"
            )
            raise AnsibleError(
                "{0}{1} would not know the new certificate authority when the others have its certificates; {2}".format(
                    ", ".join(missing[:5]), several, why
                )
            )

    def renew(self) -> dict:
        """Have new certificates and keys issued for the hosts of the play."""
        play = set(self._vars["ansible_play_hosts"])
        members = [host for host in self.members() if host in play]
        store = self.store(members)
        if not self.check_mode:
            store.renew(members, now())
        words = "{0} new certificates and keys for all services of {1}".format(
            "would be issued:" if self.check_mode else "issued from now on:", ", ".join(members)
        )
        return {"changed": True, "msg": words, "stage": store.stage(), "directory": store.folder}

    def client_certificate(self, name: str, days: int, folder: str) -> dict:
        """Issue a certificate with which somebody, or another Prometheus, is let in by the exporters.

        :param name: whose it is.
        :param days: for which it is valid.
        :param folder: directory on the controller for its files.
        :raises AnsibleError: when an argument cannot work, or the files cannot be written.
        """
        if not CLIENT_NAME.fullmatch(name):
            raise AnsibleError("name: is {0!r}; give letters, digits, and @ . _ -, at most 50 of them".format(name))
        if name == "ca":
            raise AnsibleError("name: is 'ca', which is the name of the authority's own file; give another one")
        if not 1 <= days <= MOST_DAYS:
            text = "days: is {0}; give 1 to {1}, as no certificate can be withdrawn but by a rotation of the authority"
            raise AnsibleError(text.format(days, MOST_DAYS))
        store, at = self.store(self.members()), now()
        if not store.is_there():
            raise AnsibleError("{0} has no certificate authority yet: site.yml makes one".format(store.folder))
        authority = store.authority()
        issued = authority.issue(Subject(name, "client", client=True), days, at, renewed=at)
        files = {name + ".crt": (issued.certificate, 0o644), name + ".key": (issued.key, 0o600)}
        files["ca.crt"] = (authority.trusted_text, 0o644)
        if not self.check_mode:
            try:
                os.makedirs(folder, mode=0o700, exist_ok=True)
            except OSError as error:
                raise AnsibleError("dest: {0} cannot be made: {1}".format(folder, error)) from error
            for file_name, (text, mode) in files.items():
                write_to(folder, file_name, text, mode)
        paths = [os.path.join(folder, file_name) for file_name in files]
        words = "{0}, until {1:%Y-%m-%d}. Exporters let in whoever has it:\n  curl --cert {2} --key {3} --cacert {4} https://HOST:9100/metrics"
        done = "would be written" if self.check_mode else "written"
        return {
            "changed": True,
            "msg": words.format(
                "{0}: certificate and key of {1}".format(done, name), issued.ends, *map(shlex.quote, paths)
            ),
            "files": paths,
            "ends": issued.ends.isoformat(),
        }
