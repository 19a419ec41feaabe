# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the peers' roles are known to write is taken over; what only bears such a name is not."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils._config_files import Tree
from ansible_collections.vigil.monitoring.plugins.module_utils._tree import pack
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms

HEADER = "#\n# Ansible managed\n#\n\n"
RULES = (
    HEADER
    + "groups:\n- name: ansible managed alert rules\n  rules:\n  -   alert: Watchdog\n      annotations:\n"
    + "          description: 'first\n\n              second'\n      expr: vector(1)\n"
)
WEB = "---\n" + HEADER.strip() + "\n\n\nbasic_auth_users:\n  alice: $2b$09$abc\n"
PROVIDER = (
    "apiVersion: 1\nproviders:\n  - name: 'default'\n    orgId: 1\n    folder: ''\n    type: file\n    options:\n"
    '      path: "/var/lib/grafana/dashboards"\n      foldersFromFilesStructure: false\n...\n\n'
)
SOURCES = "apiVersion: 1\ndeleteDatasources: []\ndatasources:\n-   isDefault: true\n    name: Prometheus\n"
# Role, path, content, and whether a peer wrote it.
STATES = [
    ("prometheus", "rules/ansible_managed.yml", RULES, True),
    ("prometheus", "rules/ansible_managed.yml", RULES.replace("Ansible managed", "by ops, see\n# the wiki"), True),
    ("prometheus", "rules/ansible_managed.rules", RULES, True),
    ("prometheus", "rules/ansible_managed.yml", RULES + "- name: mine\n  rules: []\n", False),
    ("prometheus", "rules/ansible_managed.yml", RULES.replace("ansible managed alert rules", "mine"), False),
    ("prometheus", "rules/ansible_managed.yml", RULES[len(HEADER) :], False),
    ("prometheus", "rules/ansible_managed.yml", "", False),
    ("prometheus", "web_config.yml", WEB, True),
    ("prometheus", "web_config.yml", WEB.replace("#", ""), False),
    ("prometheus", "web.yml", "basic_auth_users: {}\nhttp_server_config: {}\ntls_server_config: {}\n", True),
    ("prometheus", "web.yml", "mine: 1\n", False),
    ("alertmanager", "web_config.yml", WEB + "tls_server_config:\n  cert_file: /a\n", True),
    ("node_exporter", "config.yaml", "{}\n", True),
    ("postgres_exporter", "postgres_exporter_pass", "s3cret", True),
    ("postgres_exporter", "postgres_exporter_pass", "two\nlines\n", False),
    ("grafana", "provisioning/dashboards/ansible.yml", PROVIDER, True),
    ("grafana", "provisioning/dashboards/ansible.yml", PROVIDER.replace("'default'", "mine"), False),
    ("grafana", "provisioning/datasources/ansible.yml", SOURCES, True),
    ("grafana", "provisioning/datasources/ansible.yml", SOURCES.replace("deleteDatasources: []\n", ""), False),
]


def tree(root, role, take_over=True, files=()):
    """A tree of which nothing is deployed yet."""
    params = {
        "role": role,
        "path": str(root),
        "payload": pack([{"path": path, "content": "x", "mode": 0o640, "secret": False} for path in files]),
        "take_over": take_over,
        "superseded": _rooms.load(role).superseded(),
    }
    return Tree(SimpleNamespace(params=params, check_mode=False))


def put(root, path, content):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content)


@pytest.mark.parametrize("role, path, content, theirs", STATES)
def test_known_by_path_and_content(tmp_path, role, path, content, theirs):
    put(tmp_path, path, content)
    found = tree(tmp_path, role)
    assert found.superseded(found.state.manifest()) == (([path], []) if theirs else ([], [path]))


def test_every_file_of_the_table_has_a_state_that_is_theirs_or_shares_one():
    peers = {role: _rooms.load(role).peer_files() for role in _rooms.names()}
    seen = {peers[role][path] for role, path, _content, theirs in STATES if theirs}
    left = {(role, path) for role, paths in peers.items() for path, written in paths.items() if written not in seen}
    assert left == {("grafana", f"provisioning/{kind}/ansible.yml") for kind in ("alerting", "notification")}


def test_only_where_asked_for_and_not_what_is_wanted_or_ours(tmp_path):
    put(tmp_path, "rules/ansible_managed.yml", RULES)
    put(tmp_path, "web_config.yml", WEB)
    none = [], []
    found = tree(tmp_path, "prometheus", take_over=False)
    assert found.superseded(found.state.manifest()) == none
    found = tree(tmp_path, "prometheus", files=["rules/ansible_managed.yml"])
    assert found.superseded({**found.state.manifest(), "files": {"web_config.yml": "digest"}}) == none


def test_nothing_is_read_through_a_link_or_waited_for(tmp_path):
    put(tmp_path, "elsewhere", RULES)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/ansible_managed.yml").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "web_config.yml")
    found = tree(tmp_path, "prometheus")
    assert found.superseded(found.state.manifest()) == ([], [])


def test_a_long_file_costs_no_time(tmp_path):
    put(tmp_path, "rules/ansible_managed.yml", RULES + "  #\n" * 200_000 + "x")
    put(tmp_path, "web_config.yml", "#\n" * 500_000)
    found = tree(tmp_path, "prometheus")
    assert found.superseded(found.state.manifest())[0] == []


def test_secrets_are_marked():
    secret = {entry["path"] for role in _rooms.names() for entry in _rooms.load(role).superseded() if entry["secret"]}
    assert {"postgres_exporter_pass", "provisioning/datasources/ansible.yml"} <= secret
