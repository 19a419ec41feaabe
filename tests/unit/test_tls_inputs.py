# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of monitoring_tls cannot work is refused before anything changes, by name."""

from __future__ import annotations

import datetime
import functools
import os
import sys

import pytest
from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _tls_inputs
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import (
    DAY,
    Authority,
    Subject,
    _authority_certificate,
    hashes,
    now,
    rsa,
    x509,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority_store import Store
from ansible_collections.vigil.monitoring.plugins.plugin_utils._problems import Doubt
from role_inputs import _defaults

PASSWORD = "correct horse battery"
HASH = "$2y$10$" + "a" * 53


def read(path):
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read()
    except OSError as error:
        raise AnsibleError(str(error)) from error


def undecryptable(path):
    raise AnsibleError("no vault secrets were found that could decrypt")


def found(role="node_exporter", read=read, **given):
    values = {name: value for name, value in _defaults(role).items() if "{{" not in str(value)}
    values[role + "_tls"] = True
    values.update({"monitoring_tls": True, "monitoring_password": PASSWORD, "ansible_host": "192.0.2.7", **given})
    problems = _tls_inputs.TlsChecks(read).problems(_tls_inputs.Values(_rooms.load(role), "web1", values.get))
    return [str(one) for one in problems if not isinstance(one, Doubt)], [
        str(one) for one in problems if isinstance(one, Doubt)
    ]


@pytest.mark.parametrize(
    ("role", "given", "words"),
    [
        ("node_exporter", {"monitoring_password": None}, "monitoring_password: is not set; put it into a vault"),
        ("prometheus", {"monitoring_password": "x" * 73}, "monitoring_password: has 73 bytes; give one of at most 72"),
        ("prometheus", {"monitoring_password": "a\0b"}, "monitoring_password: has a NUL"),
        ("grafana", {"monitoring_users": ["alice"]}, "monitoring_users: is no dictionary"),
        ("prometheus", {"monitoring_users": {"alice": "secret"}}, "monitoring_users['alice']: is not a bcrypt hash; "),
        ("prometheus", {"monitoring_users": {"a:b": HASH}}, "monitoring_users['a:b']: is empty, or has a colon"),
        ("prometheus", {"monitoring_username": "vigil-grafana"}, "monitoring_username: is the name of a machine"),
        ("node_exporter", {"monitoring_tls_source": "controler"}, "monitoring_tls_source: is 'controler'; did you mean controller?"),
        ("node_exporter", {"monitoring_tls_source": "host"}, "monitoring_tls_cert_file: is not set; monitoring_tls_source: host needs it"),
        ("node_exporter", {"monitoring_tls_source": "host", "monitoring_tls_key_file": "tls/key"},
         "monitoring_tls_key_file: is 'tls/key'; give the absolute path of a file on the hosts"),
        ("node_exporter", {"monitoring_tls_source": "controller"}, "monitoring_tls_client_cert_file: is not set"),
        ("node_exporter", {"monitoring_tls_days": 2}, "monitoring_tls_days: is 2; give 3 days or more"),
        ("node_exporter", {"monitoring_tls_days": "soon"}, "monitoring_tls_days: is 'soon'"),
        ("node_exporter", {"monitoring_tls_names": "web1"}, "monitoring_tls_names: is 'web1'; give a list"),
        ("node_exporter", {"monitoring_tls_names": ["https://x"]}, "monitoring_tls_names: 'https://x' is neither a DNS name"),
        ("node_exporter", {"monitoring_tls_names": ["web 1"]}, "monitoring_tls_names: 'web 1' is neither"),
        ("node_exporter", {"monitoring_tls_dir": None}, "monitoring_tls_dir: is not set, and the inventory has no directory"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_named(role, given, words, tmp_path):
    problems, dummy = found(role, **{"monitoring_tls_dir": str(tmp_path), **given})
    assert [one for one in problems if one.startswith(words)], problems
    assert PASSWORD not in str(problems) and "secret" not in str(problems)


@pytest.mark.parametrize("role", [name for name in _rooms.names() if _rooms.load(name).closed_by])
def test_what_works_is_not_refused(role, tmp_path):
    given = {
        "monitoring_tls_dir": str(tmp_path / "new"),
        "monitoring_users": {"alice": HASH},
        "monitoring_tls_names": ["web1.example.org", "[2001:db8::7]", "*.example.org"],
        "monitoring_tls_days": "30",
    }
    assert found(role, **given) == ([], [])
    # What is switched off, or has TLS of its own, is none of this.
    assert found(role, **{role + "_tls": False, "monitoring_tls_source": "x"}) == ([], [])
    assert not (tmp_path / "new").exists()


def test_without_bcrypt(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    (problem,), dummy = found("prometheus", monitoring_tls_dir=str(tmp_path))
    assert problem.startswith(
        "monitoring_tls: needs the Python library bcrypt on the controller; run `pip install bcrypt`"
    )
    assert found("node_exporter", monitoring_tls_dir=str(tmp_path)) == ([], [])


def test_people_who_cannot_log_in(tmp_path):
    given = {"monitoring_password": None, "monitoring_tls_passphrase": "x", "monitoring_tls_dir": str(tmp_path)}
    problems, (doubt,) = found("prometheus", **given)
    assert problems == [] and "nobody can log in" in doubt
    assert found("node_exporter", **given) == ([], [])


def test_an_authority_where_0_3_0_had_it(tmp_path):
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.key").touch()
    (problem,), dummy = found(inventory_dir=str(tmp_path))
    assert problem == (
        f"monitoring_tls_dir: is not set, and the certificate authority of version 0.3.0 is in {tmp_path}/tls; rename that directory"
        f" to {tmp_path}/.tls, where it is looked for now"
    )


# The authority


def spoiled(folder, name, text):
    store = Store(str(folder), PASSWORD, read)
    store.authority(), store.machines()
    (folder / name).write_text(text, encoding="ascii")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("ca.key", "-----BEGIN PRIVATE KEY-----", "ca.key is not encrypted: run `ansible-vault encrypt"),
        ("machines.key", "x", "machines.key is not encrypted"),
        ("ca.crt", "x", "its certificate cannot be used"),
        ("renewed.json", "x", "renewed.json cannot be read"),
    ],
)
def test_an_authority_that_cannot_be_used(name, text, words, tmp_path):
    spoiled(tmp_path, name, text)
    (problem,), dummy = found(monitoring_tls_dir=str(tmp_path))
    assert problem.startswith("monitoring_tls_dir: ") and words in problem and str(tmp_path) in problem


def test_an_authority_with_another_passphrase(tmp_path):
    Store(str(tmp_path), "another", read).authority()
    (problem,), dummy = found(read=undecryptable, monitoring_tls_dir=str(tmp_path))
    assert "ca.key can be decrypted neither with monitoring_tls_passphrase" in problem


@pytest.mark.parametrize(
    ("made", "days", "problem", "doubt"),
    [
        (-100, 90, "expired on ", ""),
        (-100, 200, "", "expires on "),
        (-100, 3650, "", ""),
        (10, 3650, "is not valid before ", ""),
    ],
)
def test_the_time_of_an_authority(made, days, problem, doubt, tmp_path):
    store = Store(str(tmp_path), PASSWORD, read)
    authority = Authority.make("Old CA", now() + made * DAY, days)
    store.write_secret("ca.key", authority.key_text)
    store.write("ca.crt", authority.trusted_text)
    problems, doubts = found(monitoring_tls_dir=str(tmp_path))
    for texts, words in ((problems, problem), (doubts, doubt)):
        assert bool(texts) == bool(words) and words in "".join(texts), (problems, doubts)
    assert not doubts or "vigil.monitoring.rotate_ca" in doubts[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    (problem,), dummy = found(monitoring_tls_dir=str(tmp_path / "tls"))
    assert "cannot be written; name another directory" in problem
    tmp_path.chmod(0o700)


# Certificates that somebody else has issued

SERVER = Subject("web1", "", ("web1", "192.0.2.7"), server=True)
CLIENT = Subject("prometheus", "", client=True)
BEGIN = now() - 60 * DAY


@functools.cache
def company():
    """A root, an intermediate authority, and another root."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    digest = hashes.SHA256()
    root, other = Authority.make("Root", BEGIN), Authority.make("Other", BEGIN)
    made = _builder(_authority_certificate(key, "Intermediate", BEGIN, 3650, 7)).issuer_name(root.certificate.subject)
    top = _builder(root.certificate).issuer_name(root.certificate.subject).sign(root.key, digest)
    return Authority(root.key, [top]), Authority(key, [made.sign(root.key, digest)]), other


def _builder(certificate):
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .public_key(certificate.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
    )
    for extension in certificate.extensions:
        # Ours issue no other authorities.
        of_any = isinstance(extension.value, x509.BasicConstraints)
        value = x509.BasicConstraints(ca=True, path_length=None) if of_any else extension.value
        builder = builder.add_extension(value, extension.critical)
    return builder


def files(folder, server=None, client=None, ca=None, **texts):
    """The five files of a host as variables; the certificates are issued by the intermediate authority."""
    root, between, dummy = company()
    server, client = server or between.issue(SERVER), client or between.issue(CLIENT)
    made = {
        "ca": ca or root.trusted_text,
        "certificate": server.certificate + between.trusted_text,
        "key": server.key,
        "client_certificate": client.certificate + between.trusted_text,
        "client_key": client.key,
        **texts,
    }
    given = {"monitoring_tls_source": "controller", "monitoring_tls_dir": str(folder / "tls")}
    for what, variable in _tls_inputs._tls.FILES.items():
        (folder / what).write_text(made[what], encoding="ascii")
        given[variable] = str(folder / what)
    return given


def old(subject, made, days):
    return Authority(company()[1].key, company()[1].trusted).issue(
        subject, days, now() + made * DAY, now() + made * DAY
    )


CASES = {
    "expired": (lambda: {"server": old(SERVER, -50, 30)},
                "monitoring_tls_cert_file: {0}/certificate (CN=web1) expired on "),
    "not yet valid": (lambda: {"client": old(CLIENT, 5, 30)},
                      "monitoring_tls_client_cert_file: {0}/client_certificate (CN=prometheus) is not valid before "),
    "wrong authority": (lambda: {"ca": company()[2].trusted_text},
                        "monitoring_tls_cert_file: {0}/certificate (CN=Intermediate) was issued by CN=Root, which {0}/ca does not"
                        " have: it has CN=Other; append the certificate of the intermediate authority to {0}/certificate, or"),
    "no intermediate": (lambda: {"certificate": company()[1].issue(SERVER).certificate},
                        "monitoring_tls_cert_file: {0}/certificate was issued by CN=Intermediate, which {0}/ca does not have"),
    "wrong name": (lambda: {"server": company()[1].issue(SERVER._replace(names=("db1", "web1")))},
                   "monitoring_tls_cert_file: {0}/certificate is for db1, web1, and Prometheus reaches this host as 192.0.2.7;"
                   " set monitoring_address: web1, or have one issued for 192.0.2.7"),
    "no name": (lambda: {"server": company()[1].issue(SERVER._replace(names=()))},
                "monitoring_tls_cert_file: {0}/certificate is for no name at all, and Prometheus reaches this host as 192.0.2.7;"
                " have one issued for 192.0.2.7"),
    "another key": (lambda: {"key": company()[2].issue(SERVER).key},
                    "monitoring_tls_key_file: {0}/key does not belong to the certificate in {0}/certificate; give the key"),
    "no key": (lambda: {"client_key": "x"}, "monitoring_tls_client_key_file: {0}/client_key: it is no private key in PEM"),
    "no certificate": (lambda: {"certificate": "x"}, "monitoring_tls_cert_file: {0}/certificate cannot be used: it has no"),
    "no client": (lambda: {"client": company()[1].issue(CLIENT._replace(server=True, client=False))},
                  "monitoring_tls_client_cert_file: {0}/client_certificate is not for clientAuth"),
    "no server": (lambda: {"server": company()[1].issue(SERVER._replace(server=False, client=True))},
                  "monitoring_tls_cert_file: {0}/certificate is not for serverAuth"),
    "no authority": (lambda: {"ca": "x"}, "monitoring_tls_ca_file: {0}/ca cannot be used: it has no certificate in PEM"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_files_of_the_controller_that_cannot_work(case, tmp_path):
    make, words = CASES[case]
    given = files(tmp_path, **make())
    problems, doubts = found(**given)
    # The authority is that of both certificates.
    assert len(problems) == (2 if case == "wrong authority" else 1)
    assert problems[0].startswith(words.format(tmp_path)), problems
    assert doubts == [] and "PRIVATE KEY" not in problems[0]


def test_files_of_the_controller_that_work(tmp_path):
    given = files(tmp_path)
    assert found(**given) == ([], []) and found("grafana", **given) == ([], [])
    # One that is for the intermediate authority alone, and an authority that is trusted itself.
    assert found(**{**given, **files(tmp_path, ca=company()[1].trusted_text)}) == ([], [])
    (tmp_path / "client_key").unlink()
    (problem,), dummy = found(**given)
    assert problem.startswith("monitoring_tls_client_key_file: {0}/client_key cannot be read".format(tmp_path))
    # Whatever needs no client certificate does without.
    assert found("grafana", **{**given, "monitoring_tls_client_key_file": None}) == ([], [])


def test_an_authority_of_somebody_else_that_has_expired(tmp_path):
    gone = Authority.make("Gone", now() - 50 * DAY, 40)
    issued = {"server": gone.issue(SERVER, 90, now() - 20 * DAY), "client": gone.issue(CLIENT, 90, now() - 20 * DAY)}
    problems, dummy = found(**files(tmp_path, ca=gone.trusted_text, **issued))
    assert [one for one in problems if one.startswith("monitoring_tls_ca_file: {0}/ca expired on".format(tmp_path))]


def test_members_of_a_cluster_show_their_certificate_as_clients(tmp_path):
    given = files(tmp_path)
    assert found("alertmanager", **given, alertmanager_cluster={"listen-address": ""}) == ([], [])
    (problem,), dummy = found("alertmanager", **given, alertmanager_cluster={"listen-address": "0.0.0.0:9094"})
    assert problem.startswith("monitoring_tls_cert_file: {0}/certificate is not for clientAuth".format(tmp_path))


def test_where_people_use_another_name(tmp_path):
    given = files(tmp_path)
    problems, (doubt,) = found("prometheus", **given, prometheus_web_external_url="https://prometheus.example.org/p/")
    assert problems == [] and "is not for prometheus.example.org, the host in its external URL" in doubt


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"monitoring_address": "web1"}, "web1"),
        ({"monitoring_scrape": {"node_exporter": {"address": "[2001:db8::7]"}}}, "2001:db8::7"),
        ({"monitoring_scrape": {"node_exporter": False}}, ""),
        ({"node_exporter_web_listen_address": "127.0.0.1:9100"}, "127.0.0.1"),
        ({}, "192.0.2.7"),
    ],
)
def test_under_which_name_prometheus_reaches_it(given, name):
    values = {"ansible_host": "192.0.2.7", **given}
    assert _tls_inputs.reached_as(_tls_inputs.Values(_rooms.load("node_exporter"), "web1", values.get)) == name


def test_one_look_for_all_hosts(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(_tls_inputs, "check_people", lambda *dummy: asked.append(1) or ())
    checks = _tls_inputs.TlsChecks(read)
    for host in ("web1", "web2", "web3"):
        values = {"monitoring_tls": True, "monitoring_password": PASSWORD, "monitoring_tls_dir": str(tmp_path)}
        checks.problems(_tls_inputs.Values(_rooms.load("node_exporter"), host, values.get))
    assert asked == [1]


def test_the_time_is_that_of_utc():
    assert now().tzinfo is datetime.timezone.utc
