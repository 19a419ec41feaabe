# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A template of the user's own, rendered by Ansible itself: its text is what is written, and it finds what the role would write."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELEASE = {"image": None, "links": {}, "binaries": {}, "commands": {}}
ALERTMANAGER = {"alertmanager_route": {"receiver": "a"}, "alertmanager_receivers": [{"name": "a"}]}


@pytest.mark.parametrize(
    ("service", "version", "given", "line"),
    [
        ("prometheus", "3.5.3", {}, "scrape_interval: 15s"),
        ("alertmanager", "0.33.1", ALERTMANAGER, "receiver: a"),
    ],
)
def test_a_template_of_the_users_own(tmp_path, service, version, given, line):
    (tmp_path / "templates").mkdir()
    template = f"# mine\n{{{{ {service}_configuration | to_nice_yaml }}}}\n"
    (tmp_path / "templates" / "mine.yml.j2").write_text(template, encoding="utf-8")
    programs = dict.fromkeys((service, "promtool", "amtool"), "/nowhere/x")
    step = {"service": service, "step": "configuration"}
    step["release"] = {**RELEASE, "version": version, "binaries": programs, "commands": programs}
    task = {"vigil.monitoring.service_step": step, "check_mode": True, "diff": True}
    play = [{"hosts": "all", "gather_facts": False, "tasks": [task]}]
    (tmp_path / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    variables = {"ansible_connection": "local", f"{service}_config_file": "mine.yml.j2", **given}
    variables[f"{service}_config_dir"] = str(tmp_path / "etc")
    inventory = {"all": {"hosts": {"subject": variables}, "children": {service: {"hosts": {"subject": {}}}}}}
    (tmp_path / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", "-i", str(tmp_path / "inventory.json"), str(tmp_path / "play.yml")],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "+# mine" in done.stdout, done.stdout + done.stderr
    assert line in done.stdout
