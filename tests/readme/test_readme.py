# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What README and the documentation say to type is typed, word for word, in a clean clone; and what they say to write is what a
role takes.

Only where the hosts are, and that releases come from the lab's mirror, stands beside what they say.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest
import yaml

from lab import collection, containers, hosts, mirror, venv
from lab.common import ROOT, run

# In this order; the last one makes containers of the services.
LAST = "docs/howto/containers.md"
PAGES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in (
        "README.md",
        *sorted(
            path.relative_to(ROOT).as_posix()
            for folder in ("docs", "docs/howto")
            for path in (ROOT / folder).glob("*.md")
            if path.relative_to(ROOT).as_posix() != LAST
        ),
        "CONTRIBUTING.md",
        LAST,
    )
}
# What begins a command where it stands in a sentence.
TOOLS = ("ansible-", "make ", "git ")
# Who runs what is not run here.
ELSEWHERE = {
    "make test": "what runs this",
    "make test unit lint": "parts of what runs this",
    "make quick": "three of its parts",
    "make rules": "a part of what runs this",
    "make live": "a part of what runs this",
    "make routes": "a part of what runs this",
    "make lint": "a part of what runs this",
    "make sanity": "a part of what runs this",
    "make lab": "what every test on hosts needs",
    "make venv": "what every test needs",
    "make docs": "tests/unit: what is generated is up to date",
    "make site": "tests/packaging builds it",
    "make upstream": "reads upstream's sources from the Go module proxy",
    "make test-core CORE=2.21": "tests/faults: the oldest and the newest",
    "make one TEST='tests/faults/test_mirror.py -k checksum'": "tests/faults",
    "git clone https://github.com/vigil-monitoring/vigil.monitoring.git": "a copy of the clone stands for it",
    "cd vigil.monitoring": "the tests begin there",
    "ansible-galaxy collection build": "tests/packaging",
    "ansible-galaxy collection install": "tests/packaging",
    "ansible-galaxy collection install vigil-monitoring-*.tar.gz": "tests/packaging",
    "ansible-galaxy collection install community.docker": "no server of collections is to be had: .venv has it",
    "ansible-playbook vigil.monitoring.site -i hosts.yml": "tests/packaging, and tests/faults on a host",
    "ansible-playbook vigil.monitoring.verify -i hosts.yml": "tests/packaging, and tests/faults on a host",
    "ansible-playbook drill.yml -i inventories/prod": "tests/routes: it needs channels that messages arrive in",
    "ansible-playbook client_certificate.yml -i inventories/prod -e client_name=alice -e client_days=30"
    " -e client_dest=/home/alice/monitoring": "tests/unit, test_authority_task: it needs an inventory of one's own",
    "ansible-playbook rotate_ca.yml -i inventories/prod": "tests/unit, test_authority_task: it needs an inventory of one's own",
    "ansible-playbook password.yml": "it asks a person; tests/unit has the filter that it uses",
    "ansible-playbook site.yml -i inventories/prod -e monitoring_tls_renew=true": "tests/unit, test_authority_task",
    "ansible-playbook remove.yml -i inventories/prod -e host=mon2": "tests/faults, test_leaving: it removes what is there",
    "ansible-playbook remove.yml -i inventories/prod -e host=mon2 --check": "tests/faults, test_leaving",
    "ansible-playbook remove.yml -i inventories/prod -e host=mon1": "tests/faults, test_backup: it removes what is there",
    "ansible-playbook move.yml -i inventories/prod -e service=prometheus -e from=mon1 -e to=mon2": "tests/faults, test_move",
    "ansible-playbook move.yml -i inventories/prod -e service=prometheus -e from=mon1 -e to=mon2 --check": "tests/faults, test_move",
    "ansible-playbook backup.yml -i inventories/prod": "tests/faults, test_backup: it needs a repository",
    "ansible-playbook restore_test.yml -i inventories/prod": "tests/faults, test_restore_test: it needs a backup",
    "ansible-playbook restore.yml -i inventories/prod --limit mon1": "tests/faults, test_restore: a host that is gone",
    "ansible-playbook restore.yml -i inventories/prod --limit mon1 --check": "tests/faults, test_restore",
    "ansible-playbook site.yml -i inventories/prod --limit mon1 --skip-tags backup": "tests/faults, test_backup: a host that is gone",
    "ansible-playbook site.yml -i inventories/prod --limit mon1": "tests/faults, test_backup: a host that is gone",
    "make one TEST='tests/unit -n 2'": "the stage unit",
    "make one TEST='tests/rules -n 2'": "the stage rules",
    "make test-core": "tests/faults: the oldest and the newest",
    "make audit": "asks for the advisories of today",
    "make sbom": "tests/packaging",
    "make mutation SUBJECT=secrets": "takes half an hour",
    "make lock": "asks the registry for the newest versions",
}
DEMO = ("make demo", "make demo HOSTS=33", "make demo RUNTIME=docker", "make demo-break", "make demo-down")
DEPLOYED = ("node_exporter", "blackbox_exporter", "alertmanager", "prometheus")


def commands() -> list[str]:
    """Every command of the pages in their order, each once: of their blocks, and those in their sentences."""
    found = []
    for text in PAGES.values():
        blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", text)
        lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
        words = [word for word in re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```", "", text)) if "…" not in word]
        words = [re.sub(r"vigil-monitoring-\S+", "vigil-monitoring-*.tar.gz", word) for word in lines + words]
        found += [part.strip() for word in words for part in word.split("&&")]
    return list(dict.fromkeys(one for one in found if one.startswith((*TOOLS, "cd ")) and " " in one))


def on_a_host() -> list[str]:
    """Those that are run on a host of one's own."""
    return [one for one in commands() if one not in ELSEWHERE and one not in DEMO]


def test_every_command_is_run_somewhere():
    assert set(DEMO) | set(ELSEWHERE) <= set(commands())
    assert all(
        one.startswith(("ansible-playbook ", "ansible-doc ", "ansible-vault ", "make ")) for one in on_a_host()
    ), on_a_host()


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clean clone, with the lab's host in the place of those of inventories/prod."""
    folder = collection.clone(tmp_path_factory.mktemp("clone"))
    path = folder / "inventories" / "prod" / "hosts.yml"
    with hosts.host("trixie-docker", group="readme") as host:
        host.load(*(containers.image(service) for service in DEPLOYED))
        inventory = yaml.safe_load(path.read_text(encoding="utf-8"))
        groups = inventory["all"]["children"]
        for name, group in groups.items():
            # Groups may be empty.
            group["hosts"] = {"mon1": None} if name in DEPLOYED else {}
        inventory["all"]["vars"] = {**host.vars(), "monitoring_release_mirror": str(mirror.path())}
        for service in DEPLOYED:
            inventory["all"]["vars"][f"{service}_version"] = mirror.versions()[service]["new"]
        path.write_text(yaml.safe_dump(inventory), encoding="utf-8")
        vault = folder / "inventories" / "prod" / "group_vars" / "all" / "vault.yml"
        vault.write_text("vault_monitoring_password: a long password\n", encoding="utf-8")
        yield folder, host


def test_on_a_host_of_ones_own(clone, tmp_path):
    folder, host = clone
    (tmp_path / "vault").write_text("of the vault\n", encoding="utf-8")
    environment = collection.environment(tmp_path, ANSIBLE_VAULT_PASSWORD_FILE=str(tmp_path / "vault"))
    said = {}
    for command in on_a_host():
        argv = shlex.split(command)
        done = subprocess.run(
            [venv.tool(argv[0]) if argv[0] != "make" else "make", *argv[1:]],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        said[command] = done.stdout + done.stderr
        assert done.returncode == 0, f"{command}\n{said[command]}"
    check, site, verify, report = [one for one in on_a_host() if one.startswith("ansible-playbook ")][:4]
    assert "--check" in check
    assert "changed=0" not in said[check].split("PLAY RECAP")[-1]
    for command in (site, verify):
        assert f"MONITORING: {len(DEPLOYED)} of {len(DEPLOYED)} services verified" in said[command], said[command]
    assert list((folder / "reports").iterdir()), said[report]
    # The last of them has made containers of them.
    running = host.run("docker ps --format '{{.Names}}'").stdout.split()
    assert sorted(running) == sorted(DEPLOYED)


def test_a_playbook_of_ones_own(clone, tmp_path):
    """The example of the documentation, on another inventory than that of the clone, as a host of a group of one's own."""
    folder, _host = clone
    blocks = re.findall(r"(?ms)^```yaml\n(.*?)^```", PAGES["docs/howto/playbooks.md"])
    (playbook,) = [block for block in blocks if "hosts: monitoring" in block]
    with hosts.host("trixie", group="readme") as host:
        (tmp_path / "mine.yml").write_text(playbook, encoding="utf-8")
        given = {
            **host.vars(),
            "monitoring_release_mirror": str(mirror.path()),
            "prometheus_version": mirror.versions()["prometheus"]["new"],
        }
        inventory = {"monitoring": {"hosts": {"mon1": given}}}
        (tmp_path / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
        environment = collection.environment(tmp_path, ANSIBLE_COLLECTIONS_PATH=str(folder / "collections"))
        argv = [venv.tool("ansible-playbook"), "mine.yml", "-i", "hosts.json"]
        done = run(argv, cwd=tmp_path, env=environment, timeout=300)
        assert "MONITORING: 1 of 1 service verified" in done.stdout


def test_the_demo():
    for command in DEMO:
        done = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if command in DEMO[:3]:
            assert "failed=0" in done.stdout
            assert "does not answer" not in done.stdout
        elif command == "make demo-break":
            assert "PagerDuty" in done.stdout
    assert not hosts.listing("demo")


def variables() -> list:
    """The blocks of variables; a playbook is none, nor is another file, which is named in its first line."""
    return [
        pytest.param(block, id=f"{name}-{number}")
        for name, text in PAGES.items()
        for number, block in enumerate(re.findall(r"(?ms)^```yaml\n(.*?)^```", text), 1)
        if not re.match(r"- |# [\w-]+\.yml$", block, re.MULTILINE)
    ]


@pytest.mark.parametrize("block", variables())
def test_variables_are_inputs(block):
    specs = set()
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            specs |= set(entry["options"])
    page = (ROOT / "docs" / "roles" / "README.md").read_text(encoding="utf-8")
    shared = set(re.findall(r"(?m)^\| `((?:monitoring|docker)_\w+)` \|", page))
    assert set(yaml.safe_load(block)) <= specs | shared
