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
from ansible_collections.vigil.monitoring.plugins.plugin_utils._differences import CHANGES, DIFFERENCES, ENTRY_POINTS
from ansible_collections.vigil.monitoring.plugins.plugin_utils._inputs import MANAGED_FLAGS

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "meta").is_dir())
PEERS = [
    yaml.safe_load((ROOT / "tests/data" / name).read_text(encoding="utf-8"))
    for name in ("prometheus.prometheus-0.30.yml", "grafana.grafana-6.0.yml")
]
PEER_VARIABLES = [
    (role, name, kind) for peer in PEERS for role, found in peer["roles"].items() for name, kind in found.items()
]


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
    assert set(options(role)) == set(defaults)
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
def test_internals_bear_two_underscores(role):
    assert all(name.startswith("__{0}_".format(role)) for name in read(role, "vars/main.yml"))


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_of_the_role_is_defined(role):
    """A misspelled name in tasks, variables or templates would show only when a host gets there."""
    files = [path for part in PARTS for path in (ROOT / "roles" / role / part).glob("*")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    defined = set(options(role)) | set(read(role, "vars/main.yml")) | set(re.findall(r"register: (\w+)", text))
    # Tags begin with it too.
    text = re.sub(r"(?m)^  tags: .*$", "", text)
    # Filters, and options of modules, may begin with a role's name too; variables do not follow a dot or a quote.
    used = set(re.findall(r"(?<![\w.'/])(?:__)?{0}_[a-z_]+\b(?!:)".format(role), text))
    assert used - defined - METRICS == set()


@pytest.mark.parametrize("role", ROLES)
def test_every_input_is_used(role):
    files = [path for part in PARTS for path in (ROOT / "roles" / role / part).glob("*")]
    text = "\n".join(re.sub(r"(?m)^\w+:", "", path.read_text(encoding="utf-8")) for path in files)
    # For users' own scrape configurations, as with prometheus.prometheus.
    unused = {name for name in options(role) if not re.search(r"\b{0}\b".format(name), text)}
    assert unused <= {"prometheus_metrics_path"}


@pytest.mark.parametrize("role", [role for role in ROLES if role + "_runtime" in options(role)])
def test_both_runtimes_have_what_they_need(role):
    assert options(role)[role + "_runtime"]["choices"] == list(RUNTIMES)
    container = read(role, "vars/main.yml")["__{0}_container_settings".format(role)]
    needed = {"service", "image", "argv", "user", "group", "network", "readable", "container_extra"}
    assert needed <= set(container)
    for runtime in RUNTIMES:
        assert read(role, "tasks/{0}.yml".format(runtime))[-1]["register"] == "__{0}_release".format(role)


def tasks_of(role, name):
    """The tasks of a file, those in blocks included; an include is one of them."""
    waiting = list(read(role, "tasks/{0}.yml".format(name)))
    while waiting:
        task = waiting.pop(0)
        inner = [one for part in ("block", "rescue", "always") for one in task.get(part, ())]
        if inner:
            waiting = inner + waiting
        else:
            yield task


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_read_at_a_glance(role):
    # With one for the handlers, which Ansible wants in a file of their own. The README is generated.
    files = [path for path in (ROOT / "roles" / role).rglob("*") if path.is_file() and path.name != "README.md"]
    assert len(files) <= 13
    for runtime in RUNTIMES:
        assert len([*tasks_of(role, "main"), *tasks_of(role, runtime)]) <= 8


def own_entry_points(role):
    """The names of our role's handlers, its tags, and its files of tasks."""
    handlers = read(role, "handlers/main.yml")
    listened = [name for handler in handlers for name in handler["listen"]]
    tags = [task.get("tags") for task in read(role, "tasks/main.yml")]
    assert all(found == tags[0] for found in tags), "a tag that does a part of it"
    assert read(role, "tasks/main.yml")[1]["ansible.builtin.include_tasks"]["apply"] == {"tags": tags[0]}
    files = [path.name for path in (ROOT / "roles" / role / "tasks").glob("*.yml")]
    return {"handlers": [*listened, *(handler["name"] for handler in handlers)], "tags": tags[0], "tasks_from": files}


@pytest.mark.parametrize(
    ("role", "kind"), [(role, kind) for peer in PEERS for role in peer["roles"] for kind in ENTRY_POINTS]
)
def test_what_a_play_reaches_of_the_peer_is_there_or_explained(role, kind):
    (peer,) = [peer for peer in PEERS if role in peer["roles"]]
    ours = own_entry_points(role)[kind]
    # An X stands for a role, as a word of its own.
    table = [(re.sub(r"\bX(?=_|\b)", role, name), entry) for entry in ENTRY_POINTS[kind] for name in entry.names]
    explained = dict(table)
    for name in set(peer["entry_points"][role][kind]) - {"main.yml"}:
        assert (name in ours) == explained[name].kept, name


def test_what_is_checked_is_an_input():
    for role, flags in MANAGED_FLAGS.items():
        assert set(flags.values()) <= set(options(role))


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
