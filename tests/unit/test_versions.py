# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make versions` makes of upstream's answers, and the table of checksums."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._release import ARCHITECTURES
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._upstream_sums import SUMS, sums_of

_PATH = Path(__file__).resolve().parents[2] / "tools" / "versions.py"
_SPEC = importlib.util.spec_from_file_location("versions", _PATH)
versions = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(versions)


@pytest.mark.parametrize(
    ("tag", "program", "version"),
    [
        ("v0.316.0", "prometheus", "3.16.0"),
        ("v0.305.3", "prometheus", "3.5.3"),
        ("v0.53.2", "prometheus", None),
        ("v3.16.0", "prometheus", "3.16.0"),
        ("refs/tags/v0.35.0", "alertmanager", "0.35.0"),
        ("v0.314.0-rc.0", "prometheus", None),
        ("v1.9.0-rc.1", "node_exporter", None),
        ("0123456789abcdef", "alertmanager", None),
        ("refs/tags/v12.0.1+security-01", "grafana", None),
    ],
)
def test_the_version_of_a_tag(tag, program, version):
    assert versions.release_of(tag, program) == version


@pytest.mark.parametrize(
    ("pin", "found", "newer"),
    [
        ("3.5.3", ["3.4.0", "3.5.3", "3.5.10", "3.16.0", "3.9.0"], ["3.5.10", "3.16.0"]),
        ("3.16.0", ["3.16.0", "3.5.9"], []),
        ("3.16.0", ["3.16.2", "3.16.1"], ["3.16.2"]),
        ("1.1.0", ["1.12.1"], ["1.12.1"]),
    ],
)
def test_what_is_newer(pin, found, newer):
    assert versions.newer_than(pin, found) == newer


@pytest.mark.parametrize(
    ("ranges", "version", "concerned"),
    [
        (">= 3.0.0, < 3.5.4", "3.5.3", True),
        (">= 3.0.0, < 3.5.4", "3.5.4", False),
        (">= 3.0.0, < 3.5.4 || >= 3.6.0, <= 3.11.1", "3.11.1", True),
        ("< 0.305.0", "3.5.3", False),
        ("= 3.1.0", "3.1.0", True),
        ("3.1.0", "3.2.0", False),
        ("> 3.1.0", "3.1.0", False),
        ("all of them", "3.1.0", True),
        (None, "3.1.0", True),
    ],
)
def test_whom_a_security_note_concerns(ranges, version, concerned):
    assert versions.concerns(ranges, version) is concerned


def test_security_notes():
    def advisory(ranges, **more):
        vulnerability = {"vulnerable_version_range": ranges, "patched_versions": "3.5.4"}
        return {"ghsa_id": "GHSA-1", "severity": "high", "summary": "x", "vulnerabilities": [vulnerability] * 2, **more}

    found = versions.notes_of(
        [advisory("< 3.5.4", cve_id="CVE-1"), advisory("< 3.5.0"), {"vulnerabilities": None}], "3.5.3"
    )
    assert found == ["CVE-1 (high): x; fixed in 3.5.4"]


def test_what_is_told():
    silence = versions.NoAnswer("GitHub does not answer")
    assert versions.lines_of("prometheus", "3.5.3", ["3.16.0"], ["CVE-1"], ["arm64", "armv7"]) == [
        "prometheus 3.5.3: newer: 3.16.0",
        "    CVE-1",
        "    no checksum known for arm64, armv7",
    ]
    assert versions.lines_of("prometheus", "3.16.0", ["3.16.0"], [], []) == ["prometheus 3.16.0: the newest"]
    # What nobody tells is not called the newest.
    assert versions.lines_of("prometheus", "3.16.0", silence, silence, []) == [
        "prometheus 3.16.0: newest unknown: GitHub does not answer",
        "    security notes unknown: GitHub does not answer",
    ]


def test_the_programs_are_those_of_the_rooms():
    # HAProxy comes from the packages of the distribution.
    assert set(versions.PROGRAMS) == set(_rooms.names()) - {"tls_proxy"}
    assert versions.PROGRAMS["postgres_exporter"].repository == "prometheus-community/postgres_exporter"
    assert versions.PROGRAMS["grafana"][:2] == ("grafana/grafana", "")
    assert all(re.fullmatch(r"\d+(\.\d+)+", version) for version in versions.pins().values())


def test_which_checksums_are_missing():
    assert versions.unknown_sums("a", "1.0.0", {("a", "1.0.0"): {"arm64": "0"}}) == ["amd64", "armv7"]
    assert versions.unknown_sums("a", "1.0.0", {("a", "0.9.0"): {"arm64": "0"}}) == ["amd64", "arm64", "armv7"]


def test_the_table_is_written_as_it_stands():
    assert versions.table_of(SUMS) == versions.TABLE.read_text(encoding="utf-8")
    assert versions.table_of({**SUMS, ("zzz", "1.0.0"): {}}) == versions.TABLE.read_text(encoding="utf-8")
    assert '    ("a", "1"): {\n        "amd64": "0",\n    },\n' in versions.table_of({("a", "1"): {"amd64": "0"}})


def test_the_table_is_of_the_default_versions():
    pins = versions.pins()
    for (program, version), known in SUMS.items():
        assert pins[program] == version, f"{program} {version} is no default: run make sums"
        for arch, digest in known.items():
            assert arch in ARCHITECTURES.values()
            assert re.fullmatch("[0-9a-f]{64}", digest)
    assert sums_of("nobody", "1.0.0") == {}
    assert sums_of("node_exporter", pins["node_exporter"])["amd64"]
