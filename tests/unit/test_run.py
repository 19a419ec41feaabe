# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of Ansible remembers of its tasks until its summary."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleError
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _run


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(_run.C, "DEFAULT_LOCAL_TMP", str(tmp_path))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"failed": True, "msg": "no space left\non the device"}, "no space left"),
        ({"failed": True, "module_stderr": "Killed"}, "Killed"),
        ({"failed": True}, "no reason given"),
    ],
)
def test_why_a_step_has_failed_is_remembered(result, words):
    assert _run.watched("prometheus", "mon/1", lambda: result) is result
    assert _run.failed() == {("prometheus", "mon/1"): words}


def test_an_error_is_remembered_and_raised():
    def work():
        raise AnsibleError("this host is not run by systemd\nmore")

    with pytest.raises(AnsibleError, match="not run by systemd"):
        _run.watched("prometheus", "mon1", work)
    assert _run.failed() == {("prometheus", "mon1"): "this host is not run by systemd"}


def test_what_has_worked_is_not():
    assert _run.watched("prometheus", "mon1", lambda: {"changed": True}) == {"changed": True}
    assert _run.failed() == {}
