# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that something else has put on a host: what cannot work is named, by Python's standard library alone."""

from __future__ import annotations

import os

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _tls_files
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import DAY, Authority, now
from role_inputs import Inputs, release, room
from test_tls_inputs import BEGIN, CLIENT, SERVER, company, files, old


def paths(folder, **given):
    """The five files, as :func:`test_tls_inputs.files` makes them, by their keys."""
    files(folder, **given)
    return {what: str(folder / what) for what in _tls_files.VARIABLES}


def gone():
    """What an authority that has expired has issued."""
    authority = Authority.make("Gone", BEGIN, 40)
    issued = [authority.issue(subject, 90, BEGIN + 20 * DAY) for subject in (SERVER, CLIENT)]
    return {"ca": authority.trusted_text, "server": issued[0], "client": issued[1]}


CASES = {
    "expired": (lambda: {"server": old(SERVER, -50, 30)},
                "monitoring_tls_cert_file: {0}/certificate, or one that it was issued by, has expired; renew it"),
    "not yet valid": (lambda: {"client": old(CLIENT, 5, 30)},
                      "monitoring_tls_client_cert_file: {0}/client_certificate, or one that it was issued by, is not valid yet"),
    "wrong authority": (lambda: {"ca": company()[2].trusted_text},
                        "monitoring_tls_cert_file: {0}/certificate was not issued by an authority in {0}/ca: "),
    "expired authority": (gone, "monitoring_tls_cert_file: {0}/certificate, or one that it was issued by, has expired"),
    "no intermediate": (lambda: {"certificate": company()[1].issue(SERVER).certificate},
                        "monitoring_tls_cert_file: {0}/certificate was not issued by an authority in {0}/ca: unable to get"),
    "wrong name": (lambda: {"server": company()[1].issue(SERVER._replace(names=("db1", "web1")))},
                   "monitoring_tls_cert_file: {0}/certificate is for other names than 192.0.2.7, under which Prometheus"),
    "another key": (lambda: {"key": company()[1].issue(SERVER._replace(use="other")).key},
                    "monitoring_tls_key_file: {0}/key does not belong to the certificate in {0}/certificate; give the key"),
    "no key": (lambda: {"client_key": "x"}, "monitoring_tls_client_key_file: {0}/client_key cannot be used with"),
    "no certificate": (lambda: {"certificate": "x"}, "monitoring_tls_cert_file: {0}/certificate has no certificate in PEM"),
    "no client": (lambda: {"client": company()[1].issue(CLIENT._replace(server=True, client=False))},
                  "monitoring_tls_client_cert_file: {0}/client_certificate is not for clientAuth: its extended key usage"),
    "no server": (lambda: {"server": company()[1].issue(SERVER._replace(server=False, client=True))},
                  "monitoring_tls_cert_file: {0}/certificate is not for serverAuth: its extended key usage lacks it; have"),
    "no authority": (lambda: {"ca": "x"}, "monitoring_tls_ca_file: {0}/ca cannot be used"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_work_is_named(case, tmp_path):
    make, words = CASES[case]
    found = _tls_files.problems(paths(tmp_path, **make()), "192.0.2.7")
    assert found and found[0].startswith(words.format(tmp_path)), found
    assert len(found) == (2 if "authority" in case else 1) and "PRIVATE KEY" not in str(found)


def test_what_works_is_not_refused(tmp_path):
    there = paths(tmp_path)
    assert _tls_files.problems(there, "192.0.2.7") == [] == _tls_files.problems(there)
    server = {what: path for what, path in there.items() if not what.startswith("client")}
    assert _tls_files.problems(server, "web1") == []
    # An intermediate authority that is trusted itself.
    assert _tls_files.problems(paths(tmp_path, ca=company()[1].trusted_text), "web1") == []


def test_members_of_a_cluster_show_their_certificate_as_clients(tmp_path):
    there = paths(tmp_path)
    (problem,) = _tls_files.problems(there, "web1", both=True)
    assert problem.startswith("monitoring_tls_cert_file: {0}/certificate is not for clientAuth".format(tmp_path))
    there = paths(tmp_path, server=company()[1].issue(SERVER._replace(client=True)))
    assert _tls_files.problems(there, "web1", both=True) == []


@pytest.mark.parametrize("what", list(_tls_files.VARIABLES))
def test_a_file_that_is_not_there_is_named(what, tmp_path):
    there = paths(tmp_path)
    (tmp_path / what).unlink()
    (problem,) = _tls_files.problems(there)
    assert problem.startswith("{0}: {1}/{2} is not there; ".format(_tls_files.VARIABLES[what], tmp_path, what))


def test_what_is_no_file_keeps_nobody_waiting(tmp_path):
    there = paths(tmp_path)
    (tmp_path / "key").unlink()
    os.mkfifo(tmp_path / "key")
    (problem,) = _tls_files.problems(there)
    assert problem == "monitoring_tls_key_file: {0}/key is no file; correct the path".format(tmp_path)


def test_what_a_role_has_verified():
    given = {
        "monitoring_tls": True,
        "monitoring_password": "x",
        "monitoring_tls_source": "host",
        "ansible_host": "192.0.2.7",
    }
    given.update({variable: "/etc/ssl/" + what for what, variable in _tls_files.VARIABLES.items()})
    i = Inputs("node_exporter", **given, monitoring_tls_dir="/nowhere")
    found = room("node_exporter").certificates(i)
    assert found == {**{what: "/etc/ssl/" + what for what in _tls_files.VARIABLES}, "name": "192.0.2.7", "both": False}
    i = Inputs("node_exporter", **{**given, "monitoring_tls_source": "ca"})
    assert room("node_exporter").certificates(i) is None and release("node_exporter")
    assert now() > BEGIN
