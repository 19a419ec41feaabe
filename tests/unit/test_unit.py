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
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms, _unit
from role_inputs import Inputs, room

SECURITY = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
# Of those that need more than the others, which are at 1.5 or below: the table of the page, each with its reason.
MOST_EXPOSED = {unit: float(most) for unit, most in re.findall(r"(?m)^\| (\w+) \| (\d\.\d) \| \S", SECURITY)}


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


# Where inputs of a service ask for a right more.
VARIANTS = {
    "blackbox_exporter_icmp": Inputs("blackbox_exporter", configuration_modules={"a": {"prober": "icmp"}}),
    "grafana_low_port": Inputs("grafana", cap_net_bind_service=True),
}
PROFILES = {
    **{name: room(name).hardening for name in _rooms.names()},
    **{name: room(inputs.role).hardening_of(inputs) for name, inputs in VARIANTS.items()},
}


def unit(profile, **service):
    given = {"User": "someone", "Group": "someone", "ExecStart": ["/bin/true", "--x=a b"], "Type": "exec"}
    given.update(service)
    return _unit.unit_text({"Unit": {"Description": "A service"}, "Service": given}, PROFILES[profile])


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


WHOLE = r"""# Written by vigil.monitoring; your own lines belong into a drop-in.
[Unit]
StartLimitIntervalSec=0
Description=A service
After=network.target

[Service]
Restart=on-failure
RestartSec=1s
RestartSteps=5
RestartMaxDelaySec=30s
User=svc
ExecStart=/usr/bin/Svc \
  "--path=/srv/a b" \
  "--re=^x$$"
Environment="A=1 $x"
Environment=B=%%h
ReadWritePaths="/srv/my data"
ReadOnlyPaths="/srv/a b"
LimitNOFILE=1024
{0}

[Install]
WantedBy=multi-user.target
"""


def test_a_unit_is_as_it_was_read_by_a_person():
    service = {
        "User": "svc",
        "ExecStart": ["/usr/bin/Svc", "--path=/srv/a b", "--re=^x$"],
        "Environment": ["A=1 $x", "B=%h"],
        "ReadWritePaths": ["/srv/my data"],
        "ReadOnlyPaths": ["/srv/a b"],
        "LimitNOFILE": 1024,
    }
    given = {"Unit": {"Description": "A service", "After": "network.target"}, "Service": service}
    text = _unit.unit_text(given, PROFILES["prometheus"])
    names = {**_unit.HARDENING, **PROFILES["prometheus"]}
    hardened = [line for line in text.splitlines() if line.partition("=")[0] in names]
    assert text == WHOLE.format("\n".join(hardened))
    other = _unit.unit_text({**given, "Install": {"WantedBy": "timers.target"}}, PROFILES["prometheus"])
    assert other == text.replace("multi-user.target", "timers.target")
    assert "[Unit]\nStartLimitIntervalSec=0\n\n" in _unit.unit_text({"Service": service}, PROFILES["prometheus"])


def test_dollar_and_percent_are_doubled_where_systemd_replaces_them():
    assert (_unit.quote_word("$x %h"), _unit.quote_word("$x %h", True)) == ('"$x %%h"', '"$$x %%h"')


@pytest.mark.parametrize("value", ["x\nExecStartPre=/bin/sh", "x\rExecStartPre=/bin/sh"])
def test_a_value_cannot_smuggle_in_a_directive(value):
    with pytest.raises(ValueError, match=r"^User holds a line break$"):
        unit("prometheus", User=value)


def test_what_cannot_be_written_is_named():
    with pytest.raises(ValueError, match=r"^'a\\nb' holds a control character, which a unit file cannot carry$"):
        _unit.quote_word("a\nb")
    with pytest.raises(ValueError, match=r"^a unit needs the plain absolute path of its program, found \['x'\]$"):
        _unit.command_line(["x", "--password=y"])


def test_what_lies_below_a_directory():
    assert _unit.is_below("/home/x", ["/srv", "/home/"]) and _unit.is_below("/home", ["/home"])
    assert not _unit.is_below("/homes", ["/home"]) and not _unit.is_below("/", ["/home"])
    assert not _unit.is_below("/homeX/y", ["/homeX/z"]) and not _unit.is_below("/home/y", ["/homeX"])


def test_a_service_is_never_given_up():
    assert "StartLimitIntervalSec=0" in unit("alertmanager")
    assert "Restart=on-failure" in unit("alertmanager")


HARDENED = Path(__file__).parents[1] / "data" / "hardening.yml"


HARDENING_SEEN = yaml.safe_load(HARDENED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_of_the_hardening_is_lost_by_accident(profile):
    """Whoever loosens a directive changes the file as well, where a reader sees it."""
    expected = by_directive(HARDENING_SEEN["all"])
    expected.update(by_directive(HARDENING_SEEN["but"].get(profile, [])))
    found = by_directive(hardened(profile))
    names = [name for name in found if found[name] != expected.get(name)]
    differs = [line for name in names for line in found[name]] + sorted(set(expected) - set(found))
    assert differs == [], f"if it has to be so, write into {HARDENED.name}, below but: {profile}: {differs}"


def test_what_is_said_of_hardening_is_about_units_that_exist():
    assert set(HARDENING_SEEN["but"]) <= set(PROFILES)


def by_directive(lines):
    """Name of a directive to its lines, in their order."""
    found = {}
    for line in lines:
        found.setdefault(line.partition("=")[0], []).append(line)
    return found


def hardened(profile):
    """What a unit says besides what its caller gave, as its lines."""
    given = ("ExecStart=", "User=", "Group=", "Type=", "Description=", "WantedBy=", "#", "[")
    lines = unit(profile, ExecStart=["/bin/true"]).splitlines()
    return [line for line in lines if line and not line.startswith(given)]


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_exposure_as_systemd_sees_it(profile, tmp_path):
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("no systemd-analyze on this machine")
    path = tmp_path / (profile + ".service")
    account = Inputs(VARIANTS[profile].role if profile in VARIANTS else profile)["system_user"]
    path.write_text(unit(profile, User=account, Group=account))
    answer = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(path)], capture_output=True, text=True, check=False
    )
    level = re.search(r"exposure level for .*: ([0-9.]+)", answer.stdout)
    if not level:
        pytest.skip("systemd-analyze here cannot judge a file: " + answer.stderr.strip()[-200:])
    assert float(level.group(1)) <= MOST_EXPOSED.get(profile, 1.5)


def test_whoever_is_more_exposed_than_the_others_is_a_service():
    assert MOST_EXPOSED and set(MOST_EXPOSED) <= set(_rooms.names())
    assert all(1.5 < most <= 3 for most in MOST_EXPOSED.values())


SEEN = {"User": "x", "ExecStart": ["/usr/local/bin/x"]}


@pytest.mark.parametrize(
    ("service", "readable", "lines"),
    [
        ({}, [], ["ProtectHome=yes"]),
        ({"ReadWritePaths": ["/var/lib/x"]}, ["/etc/x/token", "/srv/ca.pem"], ["ProtectHome=yes"]),
        (
            {"ReadWritePaths": ["/home/x/data"]},
            [],
            ["ProtectHome=tmpfs", "BindPaths=/home/x/data", "ReadWritePaths=/home/x/data"],
        ),
        ({}, ["/home/tok"], ["ProtectHome=tmpfs", "BindReadOnlyPaths=/home/tok"]),
        ({}, ["/home/ann/tok"], ["BindReadOnlyPaths=/home/ann/tok"]),
        ({}, ["/home/ann/keys/tok", "/home/ann/keys/other"], ["BindReadOnlyPaths=/home/ann/keys"]),
        ({}, ["/root/tok"], ["ProtectHome=tmpfs", "BindReadOnlyPaths=/root/tok"]),
        ({"ReadOnlyPaths": ["/home/tok"]}, ["/home/tok/a"], ["BindReadOnlyPaths=/home/tok", "ReadOnlyPaths=/home/tok"]),
        ({"ReadOnlyPaths": ["/tmp/rules"]}, [], ["PrivateTmp=yes", "ProtectHome=yes", "BindReadOnlyPaths=/tmp/rules"]),
        (
            {"ExecStart": ["/usr/local/bin/x", "--web.config.file=/home/x/etc/web.yml"]},
            [],
            ["BindReadOnlyPaths=/home/x/etc"],
        ),
        ({"Environment": ["PASS_FILE=/run/user/5/pass"]}, [], ["BindReadOnlyPaths=/run/user/5"]),
        # The path stands behind the last of the signs.
        ({"Environment": ["DSN=file=/home/x/db/pass"]}, [], ["BindReadOnlyPaths=/home/x/db"]),
        ({"ReadWritePaths": ["/home/a b:c"]}, [], ['BindPaths="/home/a b\\\\:c"']),
        ({"ExecStart": ["/x", "--web.external-url=http://h/home/x"]}, [], ["ProtectHome=yes"]),
        ({"ReadWritePaths": ["/homes/x"]}, ["/rooted"], ["ProtectHome=yes"]),
    ],
)
def test_what_the_sandbox_hides_is_let_through_where_it_was_given(service, readable, lines):
    text = _unit.unit_text({"Service": {**SEEN, **service, "Readable": readable}}, PROFILES["prometheus"]).splitlines()
    assert "Readable" not in "".join(text)
    for line in lines:
        assert line in text
    if "ProtectHome=yes" in lines:
        assert not [line for line in text if line.startswith("Bind") and "/home" in line]


def test_a_service_without_paths_needs_nothing_let_through():
    assert _unit.let_through({}, _unit.HARDENING, []) == {}


def test_what_is_in_sight_anyway_is_not_bound():
    """node_exporter measures file systems below /home, so they are not hidden from it."""
    text = _unit.unit_text({"Service": {**SEEN, "Readable": ["/home/x/ca.pem"]}}, PROFILES["node_exporter"])
    assert "Bind" not in text and "ProtectHome=read-only" in text
