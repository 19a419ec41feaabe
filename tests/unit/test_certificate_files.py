# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that it takes to check the health of a service by TLS, before the switch that brings some of them."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._host import State
from ansible_collections.vigil.monitoring.plugins.module_utils._verification import Verification
from ansible_collections.vigil.monitoring.plugins.plugin_utils._authority import Authority

CA = "monitoring_tls/ca.crt"


@pytest.fixture(scope="module")
def certificate():
    return Authority.make("Test CA").trusted_text.encode("ascii")


def problem(folder, ca, check_mode=False):
    health = {"url": "https://127.0.0.1:1", "ca_path": ca}
    task = SimpleNamespace(
        machine=None,
        params={"health": health},
        role="node_exporter",
        state=State(str(folder)),
        module=SimpleNamespace(check_mode=check_mode),
    )
    return Verification(task).file_problem()


def stage(folder, content):
    files = {CA: (content, 0o600, os.getuid(), os.getgid())}
    State(str(folder)).stage(files, {"replace": [CA], "remove": [], "manifest": {}})


def test_a_staged_authority_is_the_one_that_counts(tmp_path, certificate):
    ca = str(tmp_path / CA)
    assert "cannot be used: No such file" in problem(tmp_path, ca)
    stage(tmp_path, certificate)
    assert problem(tmp_path, ca) is None
    stage(tmp_path, b"nonsense\n")
    assert "cannot be used" in problem(tmp_path, ca)


def test_a_check_has_staged_none(tmp_path):
    assert problem(tmp_path, str(tmp_path / CA), check_mode=True) is None
    # One that nobody deploys has to be there already.
    assert "/nowhere/ca.crt cannot be used" in problem(tmp_path, "/nowhere/ca.crt", check_mode=True)
