# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd units as text: quoting, hardening, order."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _unit

MOST_EXPOSED = {
    "prometheus": 1.5,
    "alertmanager": 1.5,
    "node_exporter": 2.5,
    "blackbox_exporter": 1.5,
    "blackbox_exporter_icmp": 2.0,
    "postgres_exporter": 1.5,
    "cadvisor": 3.5,
    "grafana": 1.5,
    "grafana_low_port": 2.0,
}


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("--a=b", "--a=b"),
        ("--web.listen-address=[::1]:9090", "--web.listen-address=[::1]:9090"),
        ("two words", '"two words"'),
        ("", '""'),
        (";", '";"'),
        ("it's", '"it\'s"'),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("100%", "100%%"),
        ("^/(sys|proc)($|/)", '"^/(sys|proc)($$|/)"'),
        ("${HOME}", '"$${HOME}"'),
        ("tab\there", '"tab\\there"'),
        ("größe", '"größe"'),
    ],
)
def test_words_are_quoted_for_a_command_line(word, written):
    assert _unit.quote_word(word, variables=True) == written


@pytest.mark.parametrize("word", ["a\nb", "a\rb", "a\0b", "\x7f"])
def test_control_characters_are_refused(word):
    with pytest.raises(ValueError, match="control character"):
        _unit.quote_word(word)


@pytest.mark.parametrize("argv", [[], ["prometheus"], ["/usr/bin/with space"], ["/usr/bin/$x"], ["-/bin/true"]])
def test_a_program_needs_a_plain_absolute_path(argv):
    with pytest.raises(ValueError, match="absolute path"):
        _unit.command_line(argv)


def unit(profile, **service):
    given = {"User": "someone", "Group": "someone", "ExecStart": ["/bin/true", "--x=a b"], "Type": "exec"}
    given.update(service)
    return _unit.unit_text({"Unit": {"Description": "A service"}, "Service": given}, profile)


def test_directives_of_all_shapes():
    text = unit(
        "prometheus",
        ReadWritePaths=["/var/lib/a b", "/srv"],
        ReadOnlyPaths=[],
        Environment=["A=1 2"],
        TimeoutStopSec="1min",
        Nice=None,
        PrivateTmp=False,
    )
    assert 'ReadWritePaths="/var/lib/a b"\nReadWritePaths=/srv\n' in text
    assert "ReadOnlyPaths" not in text
    assert 'Environment="A=1 2"\n' in text
    assert "TimeoutStopSec=1min\n" in text
    assert "Nice" not in text
    # What the caller says wins over the hardening, and is said once.
    assert re.findall(r"(?m)^PrivateTmp=.*", text) == ["PrivateTmp=no"]
    assert "CapabilityBoundingSet=\n" in text
    assert "WantedBy=multi-user.target" in text


def test_a_value_cannot_smuggle_in_a_directive():
    with pytest.raises(ValueError, match="line break"):
        unit("prometheus", User="x\nExecStartPre=/bin/sh")


def test_an_unknown_profile_is_named():
    with pytest.raises(ValueError, match="nginx"):
        unit("nginx")


def test_a_service_is_never_given_up():
    assert "StartLimitIntervalSec=0" in unit("alertmanager")
    assert "Restart=on-failure" in unit("alertmanager")


HARDENED = Path(__file__).parents[1] / "data" / "hardening.yml"


def test_nothing_of_the_hardening_is_lost_by_accident():
    """Whoever loosens a directive changes the file as well, where a reader sees it."""
    written = yaml.safe_load(HARDENED.read_text(encoding="utf-8"))
    assert {profile: hardened(profile) for profile in _unit.PROFILES} == written


def hardened(profile):
    """What a unit says besides what its caller gave, as its lines."""
    given = ("ExecStart=", "User=", "Group=", "Type=", "Description=", "WantedBy=", "#", "[")
    lines = unit(profile, ExecStart=["/bin/true"]).splitlines()
    return [line for line in lines if line and not line.startswith(given)]


@pytest.mark.parametrize("profile", sorted(_unit.PROFILES))
def test_exposure_as_systemd_sees_it(profile, tmp_path):
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("no systemd-analyze on this machine")
    path = tmp_path / (profile + ".service")
    path.write_text(unit(profile))
    answer = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(path)], capture_output=True, text=True, check=False
    )
    level = re.search(r"exposure level for .*: ([0-9.]+)", answer.stdout)
    if not level:
        pytest.skip("systemd-analyze here cannot judge a file: " + answer.stderr.strip()[-200:])
    assert float(level.group(1)) <= MOST_EXPOSED[profile]
