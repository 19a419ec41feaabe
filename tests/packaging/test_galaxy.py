# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Galaxy and those who build execution environments do with the built archive, done here without a network."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from lab import collection, common, venv
from lab.common import ROOT

# Everything that the archive may hold: shell patterns, in which a star does not cross a slash, but two do.
ALLOWED = """
    CHANGELOG.rst FILES.json LICENSE MANIFEST.json README.md
    changelogs/changelog.yaml
    meta/bindep.txt meta/execution-environment.yml meta/requirements.txt meta/runtime.yml
    bundled/dashboards/*/*.json bundled/messages/*.tmpl bundled/rules/*.yml
    docs/**/*.md docs/images/*.png docs/images/*.svg
    playbooks/*.yml playbooks/tasks/*.yml
    plugins/action/*.py plugins/doc_fragments/*.py plugins/filter/*.py plugins/filter/*.yml plugins/lookup/*.py
    plugins/modules/*.py plugins/module_utils/**/*.py plugins/plugin_utils/**/*.py
    plugins/plugin_utils/data/** plugins/plugin_utils/services/*.yml
    roles/*/README.md roles/*/defaults/main.yml roles/*/handlers/main.yml roles/*/meta/argument_specs.yml
    roles/*/meta/main.yml roles/*/tasks/*.yml
""".split()
# What runs on the controller: all but modules and what they are made of.
CONTROLLER = ("action", "doc_fragments", "filter", "lookup", "plugin_utils")
# What comes with ansible-core.
WITH_CORE = {"ansible", "ansible_collections", "cryptography", "jinja2", "yaml"}


def matches(name: str, pattern: str) -> bool:
    """Whether a path fits a pattern."""
    stars = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    regex = re.sub(r"\*\*/|\*\*|\*|[^*]+", lambda part: stars.get(part[0], re.escape(part[0])), pattern)
    return re.fullmatch(regex, name) is not None


def allowed(name: str) -> bool:
    """Whether a file may be in the archive."""
    return any(matches(name, pattern) for pattern in ALLOWED)


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """The archive that is uploaded to Galaxy, built of a fresh clone."""
    folder = tmp_path_factory.mktemp("archive")
    source = collection.clone(folder / "clone")
    argv = [venv.tool("ansible-galaxy"), "collection", "build", "--output-path", str(folder)]
    common.run(argv, cwd=source, env=collection.environment(folder))
    (built,) = folder.glob("vigil-monitoring-*.tar.gz")
    return built


@pytest.fixture(scope="module")
def names(archive) -> list[str]:
    """The files in it."""
    with tarfile.open(archive) as tar:
        return sorted(member.name for member in tar if not member.isdir())


@pytest.fixture(scope="module")
def unpacked(archive, tmp_path_factory) -> Path:
    """The archive as it is installed."""
    folder = tmp_path_factory.mktemp("unpacked") / "ansible_collections" / "vigil" / "monitoring"
    folder.mkdir(parents=True)
    common.untar(archive, folder)
    return folder


def test_what_may_be_in_the_archive():
    assert allowed("docs/alerts.md")
    assert allowed("docs/roles/prometheus.md")
    assert allowed("plugins/plugin_utils/_scrape.py")
    assert not allowed("docs/benchmarks.json")
    assert not allowed("site.yml")
    assert not allowed("roles/prometheus/files/prometheus")
    assert not allowed("plugins/modules/__pycache__/silence.pyc")


def test_the_archive_holds_what_users_need_and_nothing_else(names):
    assert [name for name in names if not allowed(name)] == []
    # A pattern that nothing matches is a leftover.
    assert {pattern for pattern in ALLOWED if not any(matches(name, pattern) for name in names)} == set()


def test_links_in_the_archive_lead_to_files_in_it(unpacked):
    broken = []
    for page in sorted(unpacked.rglob("*.md")):
        text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path = target.partition("#")[0]
            if path and not re.match(r"[a-z]+:", path) and not (page.parent / path).exists():
                broken.append(f"{page.relative_to(unpacked)}: {target}")
    assert broken == []


# What the importer says where ansible-lint takes longer than the three minutes that it gives it.
TIMEOUT = "ERROR: Timeout on call to ansible-lint"
LINT = (
    *("ansible-lint", "--profile", "production", "--exclude", "tests/integration/", "--exclude", "tests/unit/"),
    *("--format=pep8", "--nocolor", "-x"),
    "yaml,var-naming,avoid-dot-notation,import-task-no-when,single-entry-point,use-loop",
    "--offline",
)


def linted(folder, environment):
    """What ansible-lint says of a collection by the importer's own command, in as much time as a busy machine takes."""
    environment = {**environment, "ANSIBLE_COLLECTIONS_PATH": str(folder.parents[2])}
    done = subprocess.run(LINT, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_galaxy_takes_the_archive(archive, unpacked, tmp_path):
    """galaxy-importer, as Galaxy runs it: no error, and no warning, which is how it passes on what ansible-lint says."""
    programs = venv.group("galaxy")
    environment = collection.environment(
        tmp_path, PATH=f"{programs}:/usr/local/bin:/usr/bin:/bin", GALAXY_IMPORTER_RUN_ANSIBLE_TEST="false"
    )
    argv = [str(programs / "python"), "-m", "galaxy_importer.main", str(archive)]
    done = subprocess.run(
        argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1500, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Importer processing completed successfully" in said
    assert "Linting collection via ansible-lint" in said
    found = [line for line in said.splitlines() if re.match("(WARNING|ERROR|CRITICAL)", line)]
    if TIMEOUT in found:
        found.remove(TIMEOUT)
        found += linted(unpacked, environment)
    assert found == []


def test_an_execution_environment_gets_what_the_collection_needs(unpacked):
    programs = venv.group("galaxy")
    argv = [str(programs / "ansible-builder"), "introspect", str(unpacked.parents[2]), "--sanitize"]
    found = yaml.safe_load(common.run(argv).stdout)
    assert [line.partition("  #")[0].strip() for line in found["python"]] == ["bcrypt>=4.0"]
    system = [line.partition("  #")[0].strip() for line in found["system"]]
    assert "openssh-clients [platform:rpm]" in system
    assert all("vigil.monitoring" in line for line in found["system"])


def test_the_documented_execution_environment_is_one(archive, tmp_path):
    """Up to the image itself, which needs a registry."""
    page = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    (definition,) = re.findall(r"(?ms)^```yaml\n(# execution-environment.yml\n.*?)^```", page)
    (tmp_path / "execution-environment.yml").write_text(definition, encoding="utf-8")
    argv = [str(venv.group("galaxy") / "ansible-builder"), "create", "--output-filename", "Containerfile"]
    common.run(argv, cwd=tmp_path)
    requirements = yaml.safe_load((tmp_path / "context" / "_build" / "requirements.yml").read_text(encoding="utf-8"))
    assert archive.name in [one["name"] for one in requirements["collections"]]


def test_the_controller_needs_ansible_core_alone():
    """And, for monitoring_tls, what meta/requirements.txt names."""
    needed = {}
    for folder in CONTROLLER:
        for path in (ROOT / "plugins" / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    found = [node.module]
                for name in found:
                    top = name.partition(".")[0]
                    if top not in sys.stdlib_module_names | WITH_CORE:
                        needed[str(path.relative_to(ROOT))] = name
    assert set(needed.values()) == {"bcrypt"}
