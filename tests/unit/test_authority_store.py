# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the certificate authority on the controller."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import re
import stat

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _authority_store
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import (
    AuthorityProblem,
    Subject,
    is_signed_by,
    read_certificates,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority_store import Store


def unreadable(path):
    raise AnsibleError("no vault secrets were found that could decrypt")


def store(folder, passphrase="passphrase", read=unreadable, keep=True):
    return Store(str(folder), passphrase, read, keep)


def test_made_once_and_found_again(tmp_path):
    made = store(tmp_path / "tls")
    key, machines = made.authority().key_text, made.machines()
    again = store(tmp_path / "tls")
    assert again.authority().key_text == key and again.machines() == machines and len(machines) == 32
    for name in ("ca.key", "machines.key"):
        text = (tmp_path / "tls" / name).read_text(encoding="ascii")
        assert text.startswith("$ANSIBLE_VAULT;") and "PRIVATE" not in text
        assert stat.S_IMODE(os.stat(tmp_path / "tls" / name).st_mode) == 0o600
    assert sorted(os.listdir(tmp_path / "tls")) == ["ca.crt", "ca.key", "machines.key"]


def test_a_check_writes_nothing(tmp_path):
    made = store(tmp_path / "tls", keep=False)
    assert made.authority().key_text == made.authority().key_text and made.machines() == made.machines()
    assert not (tmp_path / "tls").exists()


def _fingerprint(folder):
    return store(folder).authority().fingerprint + store(folder).machines().hex()


def test_processes_at_the_same_time_make_one(tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert len(set(pool.map(_fingerprint, [tmp_path / "tls"] * 8))) == 1


def test_processes_that_find_the_key_alone_make_one_certificate(tmp_path):
    store(tmp_path / "tls").authority()
    os.unlink(tmp_path / "tls" / "ca.crt")
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert len(set(pool.map(_fingerprint, [tmp_path / "tls"] * 8))) == 1


def test_a_run_that_was_killed_after_the_key(tmp_path):
    key = store(tmp_path).authority().key_text
    os.unlink(tmp_path / "ca.crt")
    again = store(tmp_path).authority()
    assert again.key_text == key and (tmp_path / "ca.crt").read_text(encoding="ascii") == again.trusted_text


def test_a_key_that_is_gone_is_not_made_anew(tmp_path):
    store(tmp_path).authority()
    os.unlink(tmp_path / "ca.key")
    with pytest.raises(AuthorityProblem, match="put the key back from a backup"):
        store(tmp_path).authority()


def test_by_a_vault_password_of_the_run(tmp_path):
    store(tmp_path).authority()
    asked = []

    def read(path):
        asked.append(path)
        secret = VaultSecret(b"passphrase")
        with open(path, "rb") as stream:
            return VaultLib([("default", secret)]).decrypt(stream.read()).decode("ascii")

    assert store(tmp_path, "another", read).authority().key_text == store(tmp_path).authority().key_text
    assert asked == [str(tmp_path / "ca.key")]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: None, "can be decrypted neither with monitoring_tls_passphrase"),
        (lambda path: path.write_text("-----BEGIN PRIVATE KEY-----\n", encoding="ascii"), "is not encrypted: run `ansible-vault"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_used_is_said(tmp_path, spoil, words):
    store(tmp_path).authority()
    spoil(tmp_path / "ca.key")
    with pytest.raises(AuthorityProblem, match=words):
        store(tmp_path, "another").authority()


def test_a_directory_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(AuthorityProblem, match=r"monitoring_tls_dir: .*file/tls cannot be written: "):
        store(tmp_path / "file" / "tls").authority()


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(dummy):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_authority_store.os, "fsync", full)
    with pytest.raises(AuthorityProblem, match=r"ca\.key cannot be written: .*No space left"):
        store(tmp_path).authority()
    assert os.listdir(tmp_path) == []


def test_who_wants_new_certificates(tmp_path):
    made, at = store(tmp_path), datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    assert made.renewed("web1") is None
    made.renew(["web1", "web2"], at)
    made.renew(["web2"], at + datetime.timedelta(days=1))
    assert made.renewed("web1") == at and made.renewed("web2") == at + datetime.timedelta(days=1)
    (tmp_path / "renewed.json").write_text("[", encoding="utf-8")
    with pytest.raises(AuthorityProblem, match=r"renewed\.json cannot be read"):
        made.renewed("web1")


# A rotation

WEB = Subject("web1", "node_exporter", ("web1",), server=True)


def issued_by(made):
    (certificate,) = read_certificates(made.authority().issue(WEB).certificate)
    return [number for number, one in enumerate(made.authority().trusted) if is_signed_by(certificate, one)]


def test_a_rotation_step_by_step(tmp_path):
    made = store(tmp_path)
    machines, old = made.machines(), made.authority().fingerprint
    assert made.stage() == "idle" and made.announce() and made.stage() == "announced"
    # Whom everybody trusts is told before anybody shows it.
    assert len(made.authority().trusted) == 2 and issued_by(made) == [0] and made.authority().fingerprint == old
    assert not made.announce() and len(made.authority().trusted) == 2
    assert made.switch() and made.stage() == "switched"
    assert len(made.authority().trusted) == 2 and issued_by(made) == [1]
    assert not made.announce() and not made.switch()
    assert made.finish() and made.stage() == "idle" and not made.finish()
    assert issued_by(made) == [0] and made.authority().fingerprint != old
    again = store(tmp_path)
    assert again.authority().fingerprint == made.authority().fingerprint and again.machines() == machines
    assert sorted(os.listdir(tmp_path)) == ["ca.crt", "ca.key", "machines.key"]
    assert {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("ca.key", "machines.key")} == {0o600}


def test_the_authority_of_a_cluster_is_rotated_with_it(tmp_path):
    def seen():
        cluster = store(tmp_path).authority().for_purpose("the cluster")
        (certificate,) = read_certificates(cluster.issue(WEB).certificate)
        return cluster.trusted_text, [is_signed_by(certificate, one) for one in cluster.trusted]

    made = store(tmp_path)
    made.authority()
    assert seen()[1] == [True]
    made.announce()
    announced = seen()
    made.switch()
    switched = seen()
    assert announced[1] == [True, False] and switched[1] == [False, True] and announced[0] == switched[0]
    made.finish()
    assert seen()[1] == [True] and announced[0].endswith(seen()[0])


def test_no_step_of_a_rotation_is_left_out(tmp_path):
    with pytest.raises(AuthorityProblem, match=r"has no certificate authority yet: site\.yml makes one"):
        store(tmp_path).announce()
    store(tmp_path).authority()
    with pytest.raises(AuthorityProblem, match="no new certificate authority is announced"):
        store(tmp_path).switch()
    assert not store(tmp_path).finish()
    store(tmp_path).announce()
    with pytest.raises(AuthorityProblem, match="still issues: switch first"):
        store(tmp_path).finish()


class Killed(BaseException):
    """What no handler takes for an error."""


@pytest.mark.parametrize("moment", range(8))
def test_a_rotation_that_was_killed_goes_on(moment, tmp_path, monkeypatch):
    """After each change of a file: what is there works, and the steps that follow lead to the end."""
    old = store(tmp_path).authority().fingerprint
    changes = []

    def counted(change):
        def call(*arguments):
            if len(changes) == moment:
                raise Killed
            changes.append(arguments)
            return change(*arguments)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(_authority_store.os, "replace", counted(os.replace))
        patched.setattr(_authority_store.os, "unlink", counted(os.unlink))
        made = store(tmp_path)
        try:
            made.announce(), made.switch(), made.finish()
            killed = False
        except Killed:
            killed = True
    assert killed is (moment < 6)
    there = store(tmp_path).authority()
    assert issued_by(store(tmp_path)) and there.for_purpose("the cluster").trusted
    again = store(tmp_path)
    if moment < 6:
        again.announce(), again.switch(), again.finish()
    assert again.stage() == "idle" and len(again.authority().trusted) == 1 and again.authority().fingerprint != old
    assert [name for name in sorted(os.listdir(tmp_path)) if not name.startswith(".")] == ["ca.crt", "ca.key"]


def overtaken(folder, step):
    """A store that decides what to do, and gets the lock when another run has taken the same step."""

    class Overtaken(Store):
        def locked(self):
            if not self.waited:
                self.waited = True
                assert getattr(store(folder), step)()
            return super().locked()

    made = Overtaken(str(folder), "passphrase", unreadable)
    made.waited = False
    return made


@pytest.mark.parametrize("step", ["announce", "switch", "finish"])
def test_two_controllers_that_rotate_at_once_take_each_step_once(step, tmp_path):
    first = store(tmp_path).authority().fingerprint
    steps = ["announce", "switch", "finish"]
    for before in steps[: steps.index(step)]:
        getattr(store(tmp_path), before)()
    late = overtaken(tmp_path, step)
    assert getattr(late, step)() is False
    assert late.authority().fingerprint == store(tmp_path).authority().fingerprint
    for after in steps[steps.index(step) + 1 :]:
        assert getattr(store(tmp_path), after)()
    assert store(tmp_path).stage() == _authority_store.IDLE
    last = store(tmp_path).authority()
    assert last.fingerprint != first and len(last.trusted) == 1
    assert sorted(os.listdir(tmp_path)) == ["ca.crt", "ca.key"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"web1": "yesterday"}', "web1 has 'yesterday', which is no time"),
        ('{"web1": 7}', "web1 has 7, which is no time"),
        # Without a zone: who knows whose.
        ('{"web1": "2026-01-01T00:00:00"}', "web1 has '2026-01-01T00:00:00', which is no time"),
        ('{"web1": "2999-01-01T00:00:00+00:00"}', "web1 has '2999-01-01T00:00:00+00:00', which is in the future"),
    ],
)
def test_a_time_of_a_renewal_that_cannot_be(text, words, tmp_path):
    (tmp_path / "renewed.json").write_text(text, encoding="utf-8")
    with pytest.raises(AuthorityProblem, match=re.escape(words)):
        store(tmp_path).renewed("web1")
    # The check before anything is changed is about all hosts.
    with pytest.raises(AuthorityProblem, match=re.escape(words)):
        store(tmp_path).check_renewals()


def test_another_passphrase_than_before_is_named_with_the_way_out(tmp_path):
    store(tmp_path).authority()
    with pytest.raises(
        AuthorityProblem, match="if monitoring_password was changed, set monitoring_tls_passphrase to the former one"
    ):
        store(tmp_path, passphrase="another").authority()
