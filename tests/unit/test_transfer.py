# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory on the host in which a file of the controller arrives."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest
from ansible.plugins.loader import shell_loader
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _transfer


@pytest.fixture
def action(tmp_path):
    """As much of an action plugin as is asked, with a shell of Ansible's."""
    shell = shell_loader.get("sh")
    shell.set_options(direct={"remote_tmp": "~/tmp"})
    connection = SimpleNamespace(_shell=shell, become=None, transport="ssh")
    return SimpleNamespace(_connection=connection, get_shell_option=lambda name, default: shell.get_option(name))


def run(command, home):
    return subprocess.run(["sh", "-c", command], env={"HOME": str(home)}, stdout=subprocess.PIPE, text=True, check=True)


def test_a_directory_that_another_command_makes(action, tmp_path):
    tmp_path /= "a=b"
    tmp_path.mkdir()
    _transfer.adopt_directory(action, run(_transfer.directory_command(action), tmp_path).stdout)
    folder = _transfer.temporary_directory(action)
    assert folder.startswith(f"{tmp_path}/tmp/ansible-tmp-") and folder.endswith("/")
    assert (tmp_path / folder).is_dir() and (tmp_path / folder).stat().st_mode & 0o777 == 0o700
    assert action._cleanup_remote_tmp, "as Ansible remembers that it made one"
    assert _transfer.directory_command(action) is None, "it has one already"


@pytest.mark.parametrize("change", [{"become": "sudo"}, {"transport": "local"}])
def test_a_directory_that_another_command_cannot_make(action, change):
    vars(action._connection).update(change)
    assert _transfer.directory_command(action) is None


@pytest.mark.parametrize("output", ["", "sudo: a password is required", "x=/"])
def test_what_is_no_directory_is_not_adopted(action, output):
    _transfer.adopt_directory(action, output)
    assert action._connection._shell.tmpdir is None


def test_the_home_is_not_asked_for_in_a_round_trip_of_its_own(action, tmp_path):
    def make():
        path = action._remote_expand_user("~/tmp", sudoable=False)
        action._connection._shell.tmpdir = run(f"echo {path}", tmp_path).stdout.strip()

    action._make_tmp_path = make
    assert _transfer.temporary_directory(action) == f"{tmp_path}/tmp"
    assert not hasattr(action, "_remote_expand_user"), "only for this directory"
