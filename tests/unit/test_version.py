# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of versions, and the guard of data against versions that are older than what has written there."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._health import downgrade_problem
from ansible_collections.vigil.monitoring.plugins.module_utils._host import (
    WRITER,
    HostError,
    mark_writer,
    newest_writer,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._version import same_version, version_key

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("3.5.3", "3.5.3+ds1", True),
        ("v3.5.3", "3.5.3", True),
        ("3.5", "3.5.0", True),
        ("11.6.0+security-01", "11.6.0", True),
        ("3.0.0-rc.1", "3.0.0~rc.1+ds", True),
        ("3.5.3", "3.5.30", False),
        ("3.0.0", "3.0.0-rc.1", False),
    ],
)
def test_same_version(one, other, same):
    assert same_version(one, other) is same


def test_versions_in_order():
    ordered = ["2.9.0", "2.53.3", "3.0.0-beta.2", "3.0.0-beta.11", "3.0.0-rc.1", "3.0.0", "3.0.1", "3.10.0"]
    assert sorted(random.Random(1).sample(ordered, len(ordered)), key=version_key) == ordered


def test_there_is_one_order_of_versions():
    found = [
        path.name for path in PLUGINS.rglob("*.py") if re.search(r"def (version_key|same_version)\b", path.read_text())
    ]
    assert found == ["_version.py"]


@pytest.mark.parametrize(
    ("written_by", "wanted", "refused"),
    [
        (None, "2.45.0", False),
        ("", "2.45.0", False),
        ("3.16.0", "3.5.0", True),  # 3.16 may have been asked for st-storage, and need not be any longer
        ("3.16.0", "3.15.9", True),
        ("3.5.3", "3.5.2", True),
        ("3.0.0", "3.0.0-rc.1", True),
        ("3.5.3+ds1", "3.5.3", False),
        ("3.5.3", "3.5.3", False),
        ("2.53.3", "3.5.3", False),
    ],
)
@pytest.mark.parametrize("kind", ["prometheus", "alertmanager", "grafana"])
def test_a_downgrade(kind, written_by, wanted, refused):
    found = downgrade_problem(kind, written_by, wanted)
    assert bool(found) is refused
    # Within a line, where the service says that its versions read each other's data.
    lines = [version_key(version)[0][:2] for version in (written_by or wanted, wanted)]
    assert bool(downgrade_problem(kind, written_by, wanted, True)) is (refused and lines[0] != lines[1])
    if refused:
        assert f"{kind} {written_by}" in found and wanted in found


def test_the_newest_writer_is_remembered_with_the_data(tmp_path):
    assert newest_writer(str(tmp_path)) is None
    mark_writer(str(tmp_path), "3.5.3")
    mark_writer(str(tmp_path), "3.16.0")
    assert newest_writer(str(tmp_path)) == "3.16.0"
    assert (tmp_path / WRITER).stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == [WRITER]
    assert newest_writer(str(tmp_path / "none")) is None
    with pytest.raises(HostError, match="cannot be recorded"):
        mark_writer(str(tmp_path / "none"), "1")


def test_nothing_that_stands_in_the_way_of_the_mark_is_followed(tmp_path):
    theirs, data = tmp_path / "theirs", tmp_path / "data"
    theirs.write_text("9.9.9\n")
    data.mkdir()
    (data / WRITER).symlink_to(theirs)
    assert newest_writer(str(data)) is None
    mark_writer(str(data), "3.5.3")
    assert (theirs.read_text(), newest_writer(str(data))) == ("9.9.9\n", "3.5.3")
    os.unlink(data / WRITER)
    os.mkfifo(data / WRITER)
    assert newest_writer(str(data)) is None
    mark_writer(str(data), "3.5.4")
    assert newest_writer(str(data)) == "3.5.4"
    (tmp_path / "link").symlink_to(data)
    assert newest_writer(str(tmp_path / "link")) == "3.5.4"
    # Where somebody else can have made it, the same link leads nowhere.
    tmp_path.chmod(0o777)
    assert newest_writer(str(tmp_path / "link")) is None
    with pytest.raises(HostError):
        mark_writer(str(tmp_path / "link"), "1")
