# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' defaults, specs and variables hold each other to account, and all of them the peer's variables."""

from __future__ import annotations

import functools
import pathlib
import re
import subprocess
import sys

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _rooms
from ansible_collections.vigil.monitoring.plugins.plugin_utils._deployment import HEALTH
from ansible_collections.vigil.monitoring.plugins.plugin_utils._differences import CHANGES, DIFFERENCES, ENTRY_POINTS

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "meta").is_dir())
PEERS = [
    yaml.safe_load((ROOT / "tests/data" / name).read_text(encoding="utf-8"))
    for name in ("prometheus.prometheus-0.30.yml", "grafana.grafana-6.0.yml")
]
# Roles of theirs that have a namesake here.
SHARED = {role: peer for peer in PEERS for role in peer["roles"] if role in ROLES}
PEER_VARIABLES = [(role, name, kind) for role, peer in SHARED.items() for name, kind in peer["roles"][role].items()]


RUNTIMES = ("systemd", "docker")
PARTS = ("tasks", "handlers", "vars", "templates", "defaults")
# Text that Ansible leaves as it is.
LITERAL = re.compile(r"\{% raw %\}.*?\{%\s*endraw %\}", re.DOTALL)
# Metrics in rules, which look like variables of a role.
METRICS = {"prometheus_config_last_reload_successful"}


@functools.cache
def read(role, path):
    file = ROOT / "roles" / role / path
    return (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.exists() else {}


def options(role):
    return read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_specs_say_the_same(role):
    """A template stays out of the specs: a failed validation shows them with each template's value, be it a secret."""
    defaults = read(role, "defaults/main.yml")
    assert set(options(role)) == set(defaults) | {
        name for name, option in options(role).items() if option.get("required")
    }
    assert {name: option["default"] for name, option in options(role).items() if "default" in option} == {
        name: value for name, value in defaults.items() if not re.sub(LITERAL, "", str(value)).count("{{")
    }


@pytest.mark.parametrize("role", ROLES)
def test_every_input_is_described_and_typed(role):
    for name, option in options(role).items():
        assert name.startswith(role + "_")
        assert option["type"] in ("str", "int", "bool", "path", "list", "dict", "raw"), name
        assert (option["type"] == "list") == ("elements" in option), name
        assert option["description"], name
        for text in option["description"]:
            assert text[0].isupper() and text[-1] in ".…)", (name, text)


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_of_the_role_is_defined(role):
    """A misspelled name in tasks, variables or templates would show only when a host gets there."""
    files = [path for part in PARTS for path in (ROOT / "roles" / role / part).glob("*")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    defined = (
        set(options(role)) | set(read(role, "vars/main.yml")) | set(re.findall(r"(?:register|index_var): (\w+)", text))
    )
    # Tags begin with it too.
    defined |= set(read(role, "tasks/main.yml")[0].get("tags") or ())
    # Filters, and options of modules, may begin with a role's name too; variables do not follow a dot or a quote.
    used = set(re.findall(r"(?<![\w.'/])(?:__)?{0}_[a-z_]+\b(?!:)".format(role), text))
    assert used - defined - METRICS == set()


# Inputs for other hosts, for plays and for users' own scrape configurations, as with prometheus.prometheus.
FOR_OTHERS = {"prometheus_metrics_path", "alertmanager_drill_skip"}


@pytest.mark.parametrize("service", _rooms.names())
def test_every_input_is_used(service):
    """By name, in the service's room, in what all services share, or in a task or a default of its role."""
    folder = ROOT / "plugins" / "plugin_utils"
    python = [
        folder / "_deployment.py",
        folder / "_channels.py",
        folder / "_flags.py",
        folder / "_turn.py",
        *folder.glob(f"services/{service}.py"),
        *folder.glob(f"_{service}*.py"),
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in python)
    files = [path for part in PARTS for path in (ROOT / "roles" / service / part).glob("*")]
    of_role = "\n".join(re.sub(r"(?m)^\w+:", "", path.read_text(encoding="utf-8")) for path in files)
    text += " ".join("health_" + name for name in HEALTH.values())
    # Those that set a flag, and nothing else.
    text += " " + " ".join(getattr(_rooms.load(service), "input_flags", {}).values())
    # In one expression for all of them.
    text += " " + " ".join("silence_" + name for name in ("state", "matchers", "duration", "comment", "author"))
    unused = {
        name
        for name in options(service)
        if not re.search(r"\b{0}\b".format(name), of_role)
        and not re.search(r"\b{0}\b".format(name[len(service) + 1 :]), text)
    }
    assert unused - FOR_OTHERS == set()


@pytest.mark.parametrize("service", _rooms.names())
def test_both_runtimes_have_what_they_need(service):
    # A package of the distribution has no image.
    contained = service + "_image" in options(service)
    assert options(service)[service + "_runtime"]["choices"] == list(RUNTIMES if contained else RUNTIMES[:1])
    assert contained or options(service)[service + "_install_method"]["choices"] == ["package", "preinstalled"]


def test_a_role_reads_like_a_list():
    tasks = yaml.safe_load((ROOT / "roles/deployment/tasks/main.yml").read_text(encoding="utf-8"))
    assert len(tasks) == 2, "what a converged service takes"
    for role in ROLES:
        # With README, handlers and what Galaxy wants in files of their own.
        assert sum(path.is_file() for path in (ROOT / "roles" / role).rglob("*")) <= 9, role


def own_entry_points(role):
    """The names of our role's handlers, its tags, and its files of tasks."""
    handlers = read(role, "handlers/main.yml")
    listened = [name for handler in handlers for name in handler["listen"]]
    tags = [task.get("tags") for task in read(role, "tasks/main.yml")]
    assert all(found == tags[0] for found in tags), "a tag that does a part of it"
    files = [path.name for path in (ROOT / "roles" / role / "tasks").glob("*.yml")]
    return {"handlers": [*listened, *(handler["name"] for handler in handlers)], "tags": tags[0], "tasks_from": files}


@pytest.mark.parametrize(("role", "kind"), [(role, kind) for role in SHARED for kind in ENTRY_POINTS])
def test_what_a_play_reaches_of_the_peer_is_there_or_explained(role, kind):
    ours = own_entry_points(role)[kind]
    # An X stands for a role, as a word of its own.
    table = [(re.sub(r"\bX(?=_|\b)", role, name), entry) for entry in ENTRY_POINTS[kind] for name in entry.names]
    explained = dict(table)
    for name in set(SHARED[role]["entry_points"][role][kind]) - {"main.yml"}:
        assert (name in ours) == explained[name].kept, name


def test_what_is_checked_is_an_input():
    for name in _rooms.names():
        inputs = {"{0}_{1}".format(name, one) for one in _rooms.load(name).managed_flags.values()}
        assert inputs <= set(options(name))


@pytest.mark.parametrize(("role", "name", "kind"), PEER_VARIABLES)
def test_a_variable_of_the_peer_is_honoured_or_explained(role, name, kind):
    found = options(role).get(name)
    if found is None:
        assert DIFFERENCES[name].reason
        return
    assert name not in DIFFERENCES
    # A path is a string, and what may be a string or a list cannot say so.
    assert found["type"] == kind or (kind == "str" and found["type"] in ("path", "raw"))


def test_differences_name_variables_that_exist():
    every = {name for role in ROLES for name in options(role)}
    for name, difference in DIFFERENCES.items():
        assert name not in every
        assert difference.instead is None or difference.instead in every or difference.instead.startswith("monitoring_")
    for name in CHANGES:
        assert name in every or (name.startswith("*") and any(one.endswith(name[1:]) for one in every)), name


def test_generated_documentation_is_up_to_date():
    answer = subprocess.run(
        [sys.executable, str(ROOT / "tools/docs.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
