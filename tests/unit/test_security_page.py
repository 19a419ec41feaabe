# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/security.md names is there: the tests that show its promises, files, and what the table of checksums has."""

from __future__ import annotations

import pathlib
import re

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _download, _unpack
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._upstream_sums import SUMS

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", PAGE))))
def test_a_test_that_is_named(name):
    assert f"def {name}(" in TESTS


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|plugins)/[\w/]+\.py)`", PAGE))))
def test_a_file_that_is_named(path):
    assert (ROOT / path).is_file()


def test_the_programs_whose_checksums_are_known():
    (named,) = re.findall("the default versions of (.*?), and no other", PAGE)
    assert set(re.findall("`([a-z_]+)`", named)) == {program for program, dummy in SUMS}


def test_the_limits_of_what_is_downloaded():
    assert f"{_download.LARGEST >> 30} GiB for an archive, {_download.LARGEST_TEXT >> 20} MiB for a text" in PAGE
    assert (_download.STALL_BYTES >> 10, _download.STALL_SECONDS) == (64, 60) and "64 KiB per minute" in PAGE
    assert f"at most {_unpack.LARGEST >> 30} GiB, {_unpack.MOST_FILES:,} files and 100 times" in PAGE
    assert _unpack.LARGEST_RATIO == 100


def test_the_ports_of_all_services_are_there():
    rows = re.findall(r"(?m)^\| (\d+)[^|]* \| ([^|]*) \|", PAGE)
    ports = {int(port) for port, dummy in rows}
    assert {room.port or room.scrape["port"] for room in map(_rooms.load, _rooms.names())} <= ports
    assert len(ports) == len(rows)
