# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built archive, installed elsewhere, does all of its work by a playbook of somebody's own: the clone is not needed."""

from __future__ import annotations

import json
import re

from conftest import Containers, base_variables

from lab import collection, containers, hosts, play, venv
from lab.common import ROOT

PLAYBOOK = """
- hosts: all
  gather_facts: false
  roles:
    - vigil.monitoring.node_exporter
    - vigil.monitoring.alertmanager
    - vigil.monitoring.prometheus

- import_playbook: vigil.monitoring.verify
"""


def test_an_archive_that_is_installed_deploys_and_proves_without_the_clone(tmp_path):
    """One of the services is a container, as that is what another collection is needed for."""
    installed = collection.install(collection.clone(tmp_path / "clone"), tmp_path)
    (tmp_path / "mine.yml").write_text(PLAYBOOK, encoding="utf-8")
    with hosts.host("trixie-docker", group="fault") as host:
        host.load(containers.image("node_exporter"))
        site = Containers(host, tmp_path, {**base_variables(), "node_exporter_runtime": "docker"})
        argv = [venv.tool("ansible-playbook"), "mine.yml", "-i", str(site.inventory(site.groups)), "-vvv"]
        environment = collection.environment(tmp_path, ANSIBLE_COLLECTIONS_PATH=str(installed))
        ended = play.run(argv, tmp_path, environment, timeout=300).must_be_green(changed=True)

        assert "MONITORING: 3 of 3 services verified" in ended.output
        assert site.there() == ["node_exporter"]
        rules = json.loads(host.run("curl -fsS http://127.0.0.1:9090/api/v1/rules").stdout)
        assert len(rules["data"]["groups"]) > 1
    # Of this clone, only its tools and the lab's mirror were used.
    used = set(re.findall(rf"{re.escape(str(ROOT))}/[\w./-]+", ended.output))
    assert f"{installed}/ansible_collections/vigil/monitoring/roles/deployment/tasks/main.yml" in ended.output
    assert {path for path in used if not path.startswith(f"{venv.FOLDER}/")} == set()
