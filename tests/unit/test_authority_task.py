# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tasks do with the certificate authority: a rotation, and renewals."""

from __future__ import annotations

import os
import stat

import pytest
from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _authority_task
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import (
    DAY,
    end_of,
    is_signed_by,
    now,
    read_certificates,
    read_key,
    same_key,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority_task import AuthorityTask
from ansible_collections.vigil.monitoring.plugins.plugin_utils._certificates import CLIENT_AUTH, SERVER_AUTH, is_for

GROUPS = {"all": ["web1", "web2", "db1", "other"], "node_exporter": ["web1", "web2"], "prometheus": ["db1"]}


class Values:
    """Variables of hosts, as HostValues gives them."""

    def __init__(self, shared, own):
        self._shared, self._own = shared, own

    def __call__(self, host, name):
        return {**self._shared, **self._own.get(host, {})}.get(name)


@pytest.fixture(name="task")
def _task(monkeypatch, tmp_path):
    def make(check_mode=False, own=None, shared=None, **task_vars):
        said = {"monitoring_tls": True, "monitoring_password": "secret", "monitoring_tls_dir": str(tmp_path / "tls")}
        values = Values({**said, **(shared or {})}, own or {})
        monkeypatch.setattr(_authority_task, "HostValues", lambda *dummy: values)
        play = {"groups": GROUPS, "hostvars": {}, "ansible_play_hosts": ["web1", "web2", "db1"]}
        return AuthorityTask(None, None, {**play, **task_vars}, check_mode)

    return make


def made(task):
    found = task()
    return found.store(found.members()).authority()


def test_a_rotation(task):
    old = made(task).trusted_text
    stages = [task().rotate(step) for step in ("announce", "switch", "finish")]
    assert [one["stage"] for one in stages] == ["announced", "switched", "idle"]
    assert [len(one["trusted"]) for one in stages] == [2, 2, 1] and all(one["changed"] for one in stages)
    assert "the new certificate authority alone is trusted" in stages[2]["msg"]
    assert made(task).trusted_text != old and "secret" not in str(stages)


def test_a_rotation_that_was_interrupted_goes_on(task):
    made(task)
    task().rotate("announce"), task().rotate("switch")
    first = [task().rotate(step) for step in ("announce", "switch")]
    assert [one["changed"] for one in first] == [False, False]
    assert first[0]["msg"].startswith("nothing to do: the new certificate authority issues")
    assert task().rotate("finish")["changed"]


def test_a_check_writes_nothing(task):
    old = made(task).trusted_text
    for step in ("announce", "switch", "finish"):
        found = task(check_mode=True).rotate(step)
        assert found["stage"] == "idle" and len(found["trusted"]) == 1
    assert task(check_mode=True).renew()["changed"] and made(task).trusted_text == old
    assert task().store(task().members()).renewed("web1") is None


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"ansible_play_hosts": ["db1"], "ansible_limit": "db1"}, "web1, web2 would not know .*; --limit leaves them out"),
        ({"ansible_play_hosts": ["db1", "web1"]}, "web2 would not know .*; they failed, or could not be reached: correct that"),
        ({"ansible_run_tags": ["prometheus"]}, "--tags leaves services out, .*: run without tags"),
        ({"ansible_run_tags": ["all"], "ansible_skip_tags": ["verify"]}, "--skip-tags leaves services out"),
        ({"shared": {"monitoring_tls": False}}, "monitoring_tls is false, or monitoring_tls_source is another one than ca"),
        ({"shared": {"monitoring_tls_source": "host"}}, "no host has certificates of an authority of this inventory"),
        ({"own": {"db1": {"monitoring_tls_dir": "/elsewhere"}}}, "monitoring_tls_dir differs between hosts: db1 .*web1"),
        ({"shared": {"monitoring_password": None}}, "monitoring_password is not set"),
    ],
)  # fmt: skip
def test_a_rotation_that_would_cut_hosts_off_is_refused(task, variables, words):
    made(task)
    with pytest.raises(AnsibleError, match=words):
        task(**variables).rotate("announce")
    assert len(made(task).trusted) == 1


def test_hosts_without_certificates_do_not_count(task):
    made(task)
    open_host = {"web2": {"monitoring_tls": False}}
    assert task(own=open_host).members() == ["db1", "web1"]
    assert task(own=open_host, ansible_play_hosts=["db1", "web1"], ansible_limit="!web2").rotate("announce")["changed"]
    assert task(own={"web2": {"monitoring_tls": False, "node_exporter_tls": True}}).members() == ["db1", "web1", "web2"]


def test_renewed_are_the_hosts_of_the_play(task):
    made(task)
    found = task(ansible_play_hosts=["web1"], ansible_limit="web1").renew()
    store = task().store(task().members())
    assert store.renewed("web1") and not store.renewed("web2") and not store.renewed("db1")
    assert found["msg"] == "issued from now on: new certificates and keys for all services of web1"


def test_a_certificate_for_somebody(task, tmp_path):
    authority = made(task)
    found = task().client_certificate("alice", 30, str(tmp_path / "a b"))
    assert [os.path.basename(path) for path in found["files"]] == ["alice.crt", "alice.key", "ca.crt"]
    certificate, key, ca = ((tmp_path / "a b" / name).read_text() for name in ("alice.crt", "alice.key", "ca.crt"))
    (certificate,) = read_certificates(certificate)
    assert same_key(certificate, read_key(key)) and is_signed_by(certificate, authority.certificate)
    assert is_for(certificate, CLIENT_AUTH) and not is_for(certificate, SERVER_AUTH)
    assert abs(end_of(certificate) - now() - 30 * DAY) < DAY / 24 and ca == authority.trusted_text
    assert stat.S_IMODE(os.stat(tmp_path / "a b" / "alice.key").st_mode) == 0o600
    assert "curl --cert '" in found["msg"] and "PRIVATE" not in str(found)


@pytest.mark.parametrize(
    ("name", "days", "words"),
    [
        ("../alice", 30, "name: is '../alice'; give letters"),
        ("", 30, "name: is ''"),
        ("ca", 30, "name: is 'ca', which is the name of the authority's own file"),
        ("alice", 0, "days: is 0; give 1 to 365, as no certificate can be withdrawn"),
        ("alice", 366, "days: is 366"),
    ],
)
def test_a_certificate_that_cannot_be_issued(task, name, days, words, tmp_path):
    made(task)
    with pytest.raises(AnsibleError, match=words):
        task().client_certificate(name, days, str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_no_certificate_without_an_authority_and_none_in_a_check(task, tmp_path):
    with pytest.raises(AnsibleError, match="has no certificate authority yet"):
        task().client_certificate("alice", 30, str(tmp_path / "x"))
    made(task)
    assert task(check_mode=True).client_certificate("alice", 30, str(tmp_path / "x"))["changed"]
    (tmp_path / "file").write_text("")
    with pytest.raises(AnsibleError, match=r"dest: .*file/x cannot be made"):
        task().client_certificate("alice", 30, str(tmp_path / "file" / "x"))
    assert not (tmp_path / "x").exists()
