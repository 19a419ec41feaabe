# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the disk tells before anything is written to it."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _disk_space

SOUND = {"f_flag": 0, "f_files": 9, "f_ffree": 9, "f_blocks": 1, "f_bavail": 1 << 20, "f_frsize": 1024}


def disk(monkeypatch, **changed):
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(**{**SOUND, **changed}))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, None),
        ({"f_flag": os.ST_RDONLY}, "mounted read-only"),
        ({"f_ffree": 0}, "no inodes are left"),
        # btrfs counts none.
        ({"f_files": 0, "f_ffree": 0}, None),
    ],
)
def test_a_place_to_write(tmp_path, monkeypatch, changed, words):
    disk(monkeypatch, **changed)
    for path in (tmp_path, tmp_path / "new" / "newer"):
        problem = _disk_space.place_problem(str(path))
        assert (problem is None) if words is None else (words in problem and str(tmp_path) in problem)


def test_something_else_stands_there(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "file/below", "dangling"):
        assert "must be a directory" in _disk_space.place_problem(str(tmp_path / name))


def test_a_directory_that_lets_nobody_write(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "is not writable" in _disk_space.place_problem(str(tmp_path))


def test_programs(tmp_path, monkeypatch):
    disk(monkeypatch)
    assert _disk_space.execution_problem(str(tmp_path / "new")) is None
    disk(monkeypatch, f_flag=os.ST_NOEXEC)
    assert "mounted noexec" in _disk_space.execution_problem(str(tmp_path / "new"))


def test_free_space(tmp_path, monkeypatch):
    disk(monkeypatch)
    assert not _disk_space.is_short(str(tmp_path / "new"), 1 << 30)
    assert _disk_space.is_short(str(tmp_path / "new"), (1 << 30) + 1)
    disk(monkeypatch, f_blocks=0, f_bavail=0)
    assert not _disk_space.is_short(str(tmp_path), 1 << 40)
